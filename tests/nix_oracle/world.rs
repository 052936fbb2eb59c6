//! Small worlds in temporary directories: a configuration, a store, a daemon of our own, and the same question put to Nix and to the probes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parallax::probe::environment::Environment;
use parallax::probe::{Target, Wishes, nix, store};
use parallax::snapshot::Fact;
use parallax::snapshot::facts::{Nix, Store};
use parallax::sys::Root;
use parallax::sys::process::ProcessDirectory;
use serde_json::Value;

pub const NOBODY: u32 = 65534;

pub fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// Whether a test can run here. Nothing skips quietly.
pub fn can_run(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    let root = ::nix::unistd::geteuid().is_root();
    if missing.is_empty() && root {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs root and {programs:?}; missing: {missing:?}, root: {root}");
    eprintln!("skipped {test}: needs root and {programs:?}; missing: {missing:?}, root: {root}");
    false
}

/// A directory tree with a configuration, and the variables that lead Nix and the probe there.
pub struct World {
    directory: tempfile::TempDir,
    pub variables: BTreeMap<String, String>,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let mut world = Self { directory, variables: BTreeMap::new() };
        for name in ["conf", "home", "home/.config/nix", "xdg", "xdg/nix", "store", "state", "log"] {
            std::fs::create_dir_all(world.path(name)).expect("mkdir");
        }
        let places = [
            ("NIX_CONF_DIR", "conf"),
            ("HOME", "home"),
            ("XDG_CONFIG_DIRS", "xdg"),
            ("NIX_STORE_DIR", "store"),
            ("NIX_STATE_DIR", "state"),
            ("NIX_LOG_DIR", "log"),
        ];
        for (name, place) in places {
            world.set(name, &world.text(place));
        }
        world.set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("write");
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables).current_dir("/").stdin(Stdio::null());
        command
    }

    /// The settings as Nix prints them, and what it said on stderr; `None` where it refused.
    pub fn settings_of_nix(&self) -> (Option<BTreeMap<String, Value>>, String) {
        let arguments = ["--extra-experimental-features", "nix-command", "show-config", "--json"];
        let output = self.command("nix").args(arguments).output().expect("nix runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let settings = output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("json"));
        (settings, said)
    }

    pub fn environment(&self) -> Environment {
        let text = self.variables.iter().map(|(name, value)| format!("{name}={value}\0")).collect::<String>();
        Environment::parse(text.as_bytes())
    }
}

/// The view of this process, in an environment.
pub fn view(environment: Environment) -> (Nix, Store) {
    let root = Root::open("/").expect("the root directory");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    let process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
    let target = Target {
        root: &root,
        boot: boot.trim(),
        process: &process,
        live: true,
        environment: &Fact::Present(environment),
        wishes: &Wishes::default(),
        key: None,
        locks: &Ok(std::fs::read("/proc/locks").expect("locks")),
        incomplete: &[],
    };
    let nix = nix::observe(&target);
    let store = store::observe(&target, &nix);
    (nix, store)
}

pub const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
pub const MARK: &str = "VIEW:";

impl World {
    /// The view of a process that is started through these words.
    pub fn view_of_child(&self, through: &[&str]) -> (Nix, Store) {
        let copy = self.path("oracle");
        if !copy.exists() {
            std::fs::copy(std::env::current_exe().expect("this test"), &copy).expect("copy");
        }
        let name = "print_the_view_of_this_process";
        let words = [copy.to_str().expect("text"), name, "--exact", "--ignored", "--nocapture"];
        let output = self.through(through, &words);
        let text = String::from_utf8_lossy(&output.stdout);
        let json = text.lines().find_map(|line| line.strip_prefix(MARK));
        let json = json.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_str(json).expect("a view")
    }

    pub fn through(&self, through: &[&str], words: &[&str]) -> std::process::Output {
        let all: Vec<_> = through.iter().chain(words).collect();
        self.command(all[0]).args(&all[1..]).output().expect("it runs")
    }

    /// What `nix store ping` says it opened.
    pub fn store_of_nix(&self, through: &[&str]) -> String {
        let words = ["nix", "--extra-experimental-features", "nix-command", "store", "ping"];
        let output = self.through(through, &words);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let url = said.lines().find_map(|line| line.strip_prefix("Store URL: "));
        url.unwrap_or_else(|| panic!("no store: {said}")).to_owned()
    }

    pub fn same_store(&self, through: &[&str], expected: &str) -> Store {
        assert_eq!(self.store_of_nix(through), expected);
        let (_, store) = self.view_of_child(through);
        assert_eq!(store.chosen.url, Fact::Present(expected.to_owned()), "{:?}", store.chosen);
        store
    }

    pub fn daemon(&self) -> RunningDaemon {
        let daemon =
            RunningDaemon(self.command("nix-daemon").arg("--daemon").stderr(Stdio::null()).spawn().expect("spawn"));
        let until = Instant::now() + Duration::from_secs(10);
        while !self.path("state/daemon-socket/socket").exists() {
            assert!(Instant::now() < until, "the daemon did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    /// A read-only mount over the state directory, in a mount namespace of its own.
    pub fn behind_read_only_state(&self) -> [String; 6] {
        let state = self.text("state");
        let script = format!("mount --bind {state} {state} && mount -o remount,ro,bind {state} && exec \"$@\"");
        ["unshare".into(), "-m".into(), "sh".into(), "-c".into(), script, "sh".into()]
    }
}

/// Ends with the test.
pub struct RunningDaemon(pub Child);

impl Drop for RunningDaemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
