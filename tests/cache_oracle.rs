//! Signatures of served paths, held against the real Nix of this machine: `nix store verify` over generated caches, path by path, key by key.
//!
//! Narinfos are generated; those that are signed are signed by Nix itself (`nix store sign`), so that the text that is signed is Nix's own. Needs `nix`.
//! Where it is missing the test says that it was skipped, and fails where `CI` is set.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test tells why it failed or was skipped")]

mod choices;

use std::path::{Path, PathBuf};
use std::process::Command;

use choices::Choices;
use parallax::formats::narinfo;
use parallax::formats::nix_signature::PublicKey;
use parallax::probe::caches::standing::Keys;
use parallax::snapshot::facts::TrustedKey;
use parallax::snapshot::{Fact, List};

const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

fn digits(choices: &mut Choices, length: usize) -> String {
    (0..length).map(|_| char::from(DIGITS[choices.below(32)])).collect()
}

/// Names whose order by bytes differs from the order by words, length or case.
fn name(choices: &mut Choices) -> String {
    let names = ["a", "A", "a-b", "a.b", "a_b", "lib-1.10", "lib-1.9", "Z", "z+x", "0", "x?y=1"];
    format!("{}-{}", digits(choices, 32), choices.one(&names))
}

/// A directory with a cache, two keys of one name, and a third.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().expect("a directory") };
        std::fs::create_dir(world.path("cache")).expect("mkdir");
        std::fs::write(world.path("cache/nix-cache-info"), "StoreDir: /nix/store\n").expect("nix-cache-info");
        for (file, name) in [("first", "demo-1"), ("second", "demo-1"), ("other", "other-1")] {
            let key = world.command("nix-store").args(["--generate-binary-cache-key", name]).arg(world.path(file));
            assert!(key.arg(world.path(&format!("{file}.pub"))).status().expect("nix-store runs").success());
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn public(&self, key: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{key}.pub"))).expect("a key").trim().to_owned()
    }

    fn command(&self, program: &str) -> OwnedCommand {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).env("NIX_CONF_DIR", self.path("conf"));
        command.env("NIX_CONFIG", "experimental-features = nix-command");
        OwnedCommand(command)
    }

    fn store(&self) -> String {
        // Each program keeps what it once read of a cache; another parameter is another cache to it.
        format!("file://{}", self.path("cache").display())
    }

    /// What Nix says of one path with these keys.
    fn nix_takes(&self, path: &str, keys: &[String]) -> bool {
        let mut verify = self.command("nix").args(["store", "verify", "--no-contents", "--store", &self.store()]);
        verify = verify.args(["--trusted-public-keys", &keys.join(" "), path]);
        let output = verify.output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => true,
            Some(2) if said.contains("is untrusted") => false,
            other => panic!("nix store verify {path}: {other:?} {said}"),
        }
    }

    fn we_take(&self, path: &str, keys: &[String]) -> Option<bool> {
        let hash = path.rsplit('/').next().expect("a base name").get(..32).expect("a hash");
        let text = std::fs::read(self.path(&format!("cache/{hash}.narinfo"))).expect("a narinfo");
        let info = narinfo::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        judge(keys).judge(&info).acceptable.present().copied()
    }
}

/// The keys as a configuration has them.
fn judge(keys: &[String]) -> Keys {
    let mut list: List<TrustedKey> = List::complete(Vec::new());
    for text in keys {
        let name = PublicKey::parse(text).expect("a key").name;
        let in_use = !list.items.iter().any(|other| other.name == Fact::Present(name.clone()));
        let key =
            TrustedKey { name: Fact::Present(name), text: text.clone(), valid: true, in_use, ..TrustedKey::default() };
        list.items.push(key);
    }
    Keys::new(&Fact::Present(list), &[])
}

struct OwnedCommand(Command);

impl OwnedCommand {
    fn args<S: AsRef<std::ffi::OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    fn status(mut self) -> std::io::Result<std::process::ExitStatus> {
        self.0.status()
    }

    fn output(mut self) -> std::process::Output {
        self.0.output().expect("nix runs")
    }
}

fn can_run() -> bool {
    let there = Command::new("nix").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "needs nix");
    if !there {
        eprintln!("skipped: needs nix");
    }
    there
}

/// Writes a narinfo as a cache has it, its references in any order and some twice.
fn generate(choices: &mut Choices, cache: &Path) -> String {
    let base = name(choices);
    let mut references: Vec<String> = (0..choices.below(5)).map(|_| name(choices)).collect();
    if choices.chance(33) {
        references.push(base.clone());
    }
    if let (0, Some(first)) = (choices.below(4), references.first().cloned()) {
        references.push(first);
    }
    references.reverse();
    // 52 digits have four bits more than a hash; the first digit is 0 or 1.
    let hash = format!("sha256:{}{}", choices.below(2), digits(choices, 51));
    let size = choices.below(1 << 30) + 1;
    let text = format!(
        "StorePath: /nix/store/{base}\nURL: nar/{base}.nar\nCompression: none\nFileHash: {hash}\nFileSize: {size}\n\
         NarHash: {hash}\nNarSize: {size}\nReferences: {}\n",
        references.join(" ")
    );
    std::fs::write(cache.join(format!("{}.narinfo", &base[..32])), text).expect("a narinfo");
    format!("/nix/store/{base}")
}

#[test]
fn nix_and_parallax_take_the_same_paths_by_their_signatures() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let mut choices = Choices(0x5EED);
    let (first, second, other) = (world.public("first"), world.public("second"), world.public("other"));
    let sets = [
        vec![first.clone()],
        vec![second.clone()],
        vec![other.clone(), first.clone()],
        vec![second, first],
        vec![other],
    ];
    let (mut taken, mut refused) = (0, 0);
    for case in 0..24 {
        let path = generate(&mut choices, &world.path("cache"));
        // None, one, or two signatures.
        for key in ["first", "other", "second"].iter().take(case % 4).skip(case % 2) {
            let sign = world.command("nix").args(["store", "sign", "--store", &world.store(), "--key-file"]);
            assert!(sign.arg(world.path(key)).arg(&path).output().status.success(), "{path} is signed by {key}");
        }
        // What was signed is changed afterwards, as a cache that lies would.
        if case % 5 == 0 {
            let file = world.path(&format!("cache/{}.narinfo", &path[11..43]));
            let text = std::fs::read_to_string(&file).expect("a narinfo").replace("\nNarSize: ", "\nNarSize: 1");
            std::fs::write(&file, text).expect("changed");
        }
        for keys in &sets {
            let oracle = world.nix_takes(&path, keys);
            assert_eq!(world.we_take(&path, keys), Some(oracle), "case {case}, {path}, keys {keys:?}");
            if oracle { taken += 1 } else { refused += 1 }
        }
        let _ = std::fs::remove_dir_all(world.path(".cache"));
    }
    assert!(taken >= 20 && refused >= 20, "{taken} taken, {refused} refused");
}

#[test]
fn nix_and_parallax_take_the_same_texts_for_keys() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let path = generate(&mut Choices(0xCAFE), &world.path("cache"));
    let key = world.public("first");
    let (_, encoded) = key.split_once(':').expect("a name");
    let bare = encoded.trim_end_matches('=');
    let texts = [
        key.clone(),
        "demo-1".to_owned(),
        "demo-1:".to_owned(),
        format!(":{encoded}"),
        format!("a:b:{encoded}"),
        "demo-1:!!!!".to_owned(),
        "demo-1:c2hvcnQ=".to_owned(),
        // Nix reads up to the first `=`, and needs none.
        format!("demo-1:{bare}"),
        format!("demo-1:{bare}=="),
        format!("demo-1:{encoded}{encoded}"),
        format!("demo-1:{encoded}!"),
        format!("demo-1:{bare}AAAA"),
        format!("demo-1:{}", bare.get(1..).expect("digits")),
        format!("demo-1:-{}", bare.get(1..).expect("digits")),
        format!("demo 1:{encoded}"),
    ];
    let (mut keys, mut others) = (0, 0);
    for text in texts {
        let verify = world.command("nix").args(["store", "verify", "--no-contents", "--store", &world.store()]);
        let output = verify.args(["--trusted-public-keys", &text, &path]).output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_key = match output.status.code() {
            // It went on to the path, which nobody signed.
            Some(2) if said.contains("is untrusted") => true,
            Some(1)
                if ["key is corrupt", "key is not valid", "invalid character in Base64"]
                    .iter()
                    .any(|words| said.contains(words)) =>
            {
                false
            }
            other => panic!("{text}: {other:?} {said}"),
        };
        // A configuration has one key per word.
        let ours = text.split(' ').all(|word| PublicKey::parse(word).is_ok());
        assert_eq!(ours, is_key, "{text}: {said}");
        if is_key { keys += 1 } else { others += 1 }
    }
    assert!(keys >= 5 && others >= 5, "{keys} keys, {others} that are none");
}

#[test]
fn nix_and_parallax_take_the_same_paths_by_their_content() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let keys = [world.public("first")];
    std::fs::create_dir(world.path("tree")).expect("mkdir");
    std::fs::write(world.path("tree/file"), "text").expect("a file");
    let mut paths = Vec::new();
    for (kind, file) in [("add-path", "tree"), ("add-file", "tree/file"), ("add-path", "tree/file")] {
        let add = world.command("nix").args(["store", kind, "--store", &world.store()]);
        let output = add.arg(world.path(file)).output();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        paths.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    for path in &paths {
        assert!(world.nix_takes(path, &keys), "{path} needs no signature");
        assert_eq!(world.we_take(path, &keys), Some(true), "{path}");
    }
    // A path that claims to be content-addressed and is not.
    let mut choices = Choices(7);
    for address in ["fixed:r:sha256:", "fixed:sha256:", "text:sha256:", "fixed:sha1:"] {
        let path = generate(&mut choices, &world.path("cache"));
        let file = world.path(&format!("cache/{}.narinfo", &path[11..43]));
        let text = std::fs::read_to_string(&file).expect("a narinfo");
        let lines = text.lines().filter(|line| !line.starts_with("References"));
        let hash = if address.ends_with("sha1:") {
            digits(&mut choices, 32)
        } else {
            format!("0{}", digits(&mut choices, 51))
        };
        let lying = lines.map(|line| format!("{line}\n")).collect::<String>() + &format!("CA: {address}{hash}\n");
        std::fs::write(&file, lying).expect("changed");
        assert!(!world.nix_takes(&path, &keys), "{path} {address}");
        assert_eq!(world.we_take(&path, &keys), Some(false), "{path} {address}");
    }
}
