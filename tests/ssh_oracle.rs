//! How OpenSSH's files are read here, held against `ssh -G` and `ssh-keygen -F` over generated files.
//!
//! Where the programs are missing, the test says that it was skipped, and fails where `CI` is set.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test tells why it failed or was skipped")]

mod choices;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use choices::Choices;
use parallax::formats::known_hosts::{Marker, keys_of};
use parallax::formats::ssh_config::{Effective, Included, Sources, effective};

fn programs() -> bool {
    let found = ["ssh", "ssh-keygen"].iter().all(|name| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|path| path.join(name).exists())
    });
    assert!(found || std::env::var_os("CI").is_none(), "ssh and ssh-keygen are needed");
    if !found {
        eprintln!("skipped: there is no ssh");
    }
    found
}

const HOSTS: [&str; 7] = ["builder", "builder.example", "mac", "MAC", "10.0.0.7", "b1", "fd00::7"];
const PATTERNS: [&str; 11] =
    ["*", "builder", "builder*", "*.example", "!mac", "mac", "10.0.0.?", "b?", "!builder", "\"mac\"", "fd00::*"];

/// A `Match` with one to three criteria.
fn matching(choices: &mut Choices) -> String {
    let mut line = choices.one(&["Match", "match"]).to_owned();
    for _ in 0..choices.below(3) + 1 {
        let criteria =
            ["host", "originalhost", "user", "localuser", "!host", "!originalhost", "!user", "HOST", "final"];
        let name = choices.one(&criteria);
        let argument = match name.trim_start_matches('!') {
            "final" => "",
            "user" => choices.one(&["nix", "root", "n*,!nix", "r*,nix", "NIX", "*"]),
            "localuser" => choices.one(&["root", "*", "!root,*", "nobody"]),
            _ => choices.one(&[
                "builder",
                "builder*",
                "*.lan",
                "*.example,!h1.example",
                "h?,H2",
                "MAC,10.*",
                "!mac,*",
                "b1",
            ]),
        };
        write!(line, " {name} {argument}").expect("a string takes all");
    }
    // Whether the command runs, and so what it says, must not matter after one that does not hold.
    if choices.chance(15) {
        line.push_str(" !host * exec true");
    }
    line
}

/// One file, with another that it includes.
fn configuration(choices: &mut Choices, included: &Path, depth: u32) -> String {
    let mut text = String::new();
    for _ in 0..choices.below(9) + 1 {
        if choices.chance(20) {
            writeln!(text, "{}", matching(choices)).expect("a string takes all");
        }
        let sign = choices.one(&[" ", "=", " = ", "\t", "  "]);
        let line = match choices.below(13) {
            0..=2 => {
                let patterns: Vec<&str> = (0..choices.below(3) + 1).map(|_| choices.one(&PATTERNS)).collect();
                format!("{}{sign}{}", choices.one(&["Host", "host", "HOST"]), patterns.join(" "))
            }
            3 => {
                choices.one(&["Match all", "Match final", "match final all", "Match canonical", "MATCH ALL"]).to_owned()
            }
            4 => {
                let name = choices.one(&["h1.example", "%h.lan", "\"H2\"", "10.0.0.9", "mac", "a%%b"]);
                format!("HostName{sign}{name}")
            }
            5 => format!("Port{sign}{}", choices.one(&["22", "2222", "\"2200\"", "7 # why"])),
            6 => format!("User{sign}{}", choices.one(&["nix", "\"a b\"", "root"])),
            7 => format!("HostKeyAlias{sign}{}", choices.one(&["alias", "Alias2"])),
            8 => format!(
                "UserKnownHostsFile{sign}{}",
                choices.one(&["/k/one /k/two", "~/.ssh/k", "\"/k/a b\"", "/k/\\ x"])
            ),
            9 => format!("GlobalKnownHostsFile{sign}{}", choices.one(&["/g/one", "/g/one /g/two"])),
            10 => format!("StrictHostKeyChecking{sign}{}", choices.one(&["yes", "no", "accept-new", "off", "ask"])),
            11 => {
                let proxies = ["ProxyJump none", "ProxyJump jump", "ProxyCommand nc %h %p", "ProxyCommand none"];
                choices.one(&proxies).to_owned()
            }
            _ if depth == 0 && choices.chance(50) => format!("Include {}", included.display()),
            _ => format!("IdentityFile{sign}{}", choices.one(&["/i/one", "~/.ssh/two", "/i/%h", "\"/i/a b\""])),
        };
        let indent = choices.one(&["", "  ", "\t"]);
        writeln!(text, "{indent}{line}").expect("a string takes all");
        if choices.chance(10) {
            text.push_str("\n# Port 1\n");
        }
    }
    text
}

struct Files;

impl Sources for Files {
    fn include(&mut self, word: &str, _: bool) -> Result<Vec<Included>, String> {
        let text = std::fs::read(word).map_err(|error| error.to_string());
        Ok(vec![Included { path: word.to_owned(), text }])
    }
}

/// What `ssh -G` prints, each option with all its values.
fn asked(file: &Path, host: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let output = Command::new("ssh").args(["-G", "-F"]).arg(file).arg(host).output().expect("ssh runs");
    let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        options.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    output.status.success().then_some(options)
}

fn ours(file: &Path, host: &str) -> Effective {
    let text = std::fs::read(file).map_err(|error| error.to_string());
    let files = [(true, Included { path: file.display().to_string(), text })];
    let user = Command::new("id").arg("-un").output().expect("id runs");
    let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
    let mut options = Effective::of(Some(user));
    effective(host, &files, &mut Files, &mut options);
    options
}

/// Compares one option where both say something; gives how many were compared.
fn compare(ours: &Effective, theirs: &BTreeMap<String, Vec<String>>, host: &str, context: &str) -> usize {
    let said = |name: &str| theirs.get(name).and_then(|values| values.first()).cloned();
    let words =
        |name: &str| ours.words(name).unwrap_or_else(|place| panic!("{name} is doubtful at {place}\n{context}"));
    let one = |name: &str| words(name).and_then(|words| words.first()).cloned();
    let host_name = one("hostname").unwrap_or_else(|| host.to_owned()).replace("%h", host).replace("%%", "%");
    assert_eq!(Some(host_name.to_ascii_lowercase()), said("hostname"), "hostname\n{context}");
    assert_eq!(one("port").or(Some("22".into())), said("port"), "port\n{context}");
    if let Some(user) = one("user") {
        assert_eq!(Some(user), said("user"), "user\n{context}");
    }
    assert_eq!(
        one("hostkeyalias").map(|alias| alias.to_ascii_lowercase()),
        said("hostkeyalias"),
        "hostkeyalias\n{context}"
    );
    for name in ["userknownhostsfile", "globalknownhostsfile"] {
        if let Some(words) = words(name) {
            assert_eq!(
                Some(words.join(" ").replace('~', "/root")),
                said(name).map(|text| text.replace('~', "/root")),
                "{name}\n{context}"
            );
        }
    }
    let strict = one("stricthostkeychecking").unwrap_or_else(|| "ask".into());
    let strict = match strict.as_str() {
        "no" | "off" => "false".to_owned(),
        "yes" => "true".to_owned(),
        word => word.to_owned(),
    };
    assert_eq!(Some(strict), said("stricthostkeychecking"), "stricthostkeychecking\n{context}");
    for name in ["proxyjump", "proxycommand"] {
        let set = one(name).filter(|value| value != "none");
        assert_eq!(set, said(name).filter(|value| value != "none"), "{name}\n{context}");
    }
    let identities: Vec<String> = ours.identities.iter().map(|(path, _)| path.clone()).collect();
    if !identities.is_empty() {
        assert_eq!(Some(&identities), theirs.get("identityfile"), "identityfile\n{context}");
    }
    8
}

#[test]
fn the_options_for_a_host_are_those_that_ssh_prints() {
    if !programs() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (file, included) = (directory.path().join("config"), directory.path().join("inner"));
    let (mut compared, mut refused) = (0, 0);
    for seed in 1..=400_u64 {
        let mut choices = Choices(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        std::fs::write(&included, configuration(&mut choices, &included, 1)).expect("written");
        let text = configuration(&mut choices, &included, 0);
        std::fs::write(&file, &text).expect("written");
        let host = choices.one(&HOSTS);
        let inner = std::fs::read_to_string(&included).expect("read");
        let context = format!("seed {seed}, host {host}\n{text}--- included:\n{inner}");
        match asked(&file, host) {
            Some(theirs) => compared += compare(&ours(&file, host), &theirs, host, &context),
            None => refused += 1,
        }
    }
    assert!(compared > 2000 && refused < 100, "{compared} compared, {refused} refused by ssh");
}

fn key(directory: &Path, kind: &str, name: &str) -> String {
    let file = directory.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&file).status();
    assert!(made.expect("ssh-keygen runs").success());
    std::fs::read_to_string(file.with_extension("pub")).expect("a key").trim().to_owned()
}

/// The numbers of the lines that `ssh-keygen -F` finds, and what it says of each.
fn found(file: &Path, name: &str) -> Vec<(u32, Marker)> {
    let output = Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(file).output().expect("ssh-keygen runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text.lines().filter_map(|line| line.strip_prefix("# Host ")?.split_once(" found: line "));
    let marker = |rest: &str| match rest.split_whitespace().nth(1) {
        Some("CA") => Marker::CertAuthority,
        Some("REVOKED") => Marker::Revoked,
        _ => Marker::None,
    };
    told.map(|(_, rest)| {
        let number = rest.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a line");
        (number, marker(rest))
    })
    .collect()
}

#[test]
fn the_keys_known_for_a_name_are_those_that_ssh_keygen_finds() {
    if !programs() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let keys = [key(directory.path(), "ed25519", "one"), key(directory.path(), "ecdsa", "two")];
    let names = ["builder", "[builder]:2222", "b.example", "10.0.0.7", "[fd00::7]:22", "MAC"];
    let hosts = [
        "builder",
        "[builder]:2222",
        "*.example",
        "!b.example,*.example",
        "10.0.0.?",
        "mac",
        "*",
        "b.example,x",
        "[*]:2222",
    ];
    let mut compared = 0;
    for seed in 1..=120_u64 {
        let mut choices = Choices(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut text = String::new();
        for _ in 0..choices.below(6) + 1 {
            let marker =
                if choices.chance(25) { choices.one(&["@revoked ", "@cert-authority\t", "@odd "]) } else { "" };
            let blank = choices.one(&[" ", "\t", "  "]);
            let key = &keys[choices.below(2)];
            let indent = choices.one(&["", " ", "# ", ""]);
            writeln!(text, "{indent}{marker}{}{blank}{key}", choices.one(&hosts)).expect("a string takes all");
        }
        let file = directory.path().join(format!("known-{seed}"));
        std::fs::write(&file, &text).expect("written");
        if choices.chance(30) {
            // Names with patterns are left as they are.
            let hashed =
                Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().expect("ssh-keygen runs");
            drop(hashed);
        }
        let bytes = std::fs::read(&file).expect("read");
        for name in names {
            let ours: Vec<_> = keys_of(&bytes, name).iter().map(|key| (key.line, key.marker)).collect();
            let shown = String::from_utf8_lossy(&bytes);
            assert_eq!(ours, found(&file, name), "seed {seed}, {name}\n{shown}");
            compared += 1;
        }
    }
    assert_eq!(compared, 720);
}
