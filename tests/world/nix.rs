//! A real nix-daemon with a state directory, a store and a configuration of its own, so that nothing of this machine's Nix is touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::Background;

/// Whether the daemon's program is here.
pub fn available() -> Result<(), String> {
    match Command::new("nix-daemon").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("nix-daemon --version: {status}")),
        Err(error) => Err(format!("nix-daemon can't be started: {error}")),
    }
}

/// A daemon and its directories.
pub struct NixDaemon {
    pub directory: tempfile::TempDir,
    /// The process in whose network it is started next; without one this machine's.
    pub network: Option<String>,
    /// What its environment has beside its directories.
    pub variables: Vec<(&'static str, String)>,
    process: Option<Background>,
}

impl NixDaemon {
    /// Starts one with this nix.conf.
    pub fn start(configuration: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        // Containers run as other users, and must be able to pass.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        for name in ["etc", "store", "var/daemon-socket", "log"] {
            std::fs::create_dir_all(directory.path().join(name)).expect("mkdir");
        }
        let mut daemon = Self { directory, network: None, variables: Vec::new(), process: None };
        daemon.configure(configuration);
        daemon.restart();
        daemon
    }

    /// A path below its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A path below its directory, as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes nix.conf, without a restart.
    pub fn configure(&self, configuration: &str) {
        let base = "build-users-group =\nexperimental-features = nix-command\n";
        std::fs::write(self.path("etc/nix.conf"), format!("{base}{configuration}\n")).expect("nix.conf is written");
    }

    /// The environment that makes a Nix program use these directories.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("NIX_STATE_DIR", self.text("var")),
            ("NIX_STORE_DIR", self.text("store")),
            ("NIX_LOG_DIR", self.text("log")),
            ("NIX_CONF_DIR", self.text("etc")),
        ]
    }

    /// Starts it anew; it reads its configuration again.
    pub fn restart(&mut self) {
        self.process = None;
        let socket = self.path("var/daemon-socket/socket");
        let _ = std::fs::remove_file(&socket);
        let log = std::fs::File::create(self.path("daemon.log")).expect("a log");
        let mut command = match &self.network {
            None => Command::new("nix-daemon"),
            Some(pid) => {
                let mut command = Command::new("nsenter");
                command.args(["--net", "--target", pid, "nix-daemon"]);
                command
            }
        };
        let child = command
            .arg("--daemon")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/root")
            .envs(self.environment())
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nix-daemon starts");
        self.process = Some(Background(child));
        wait_for(&socket);
        // The first connection makes the database.
        let ping = Command::new("nix")
            .args(["store", "ping", "--store", "daemon"])
            .envs(self.environment())
            .output()
            .expect("nix runs");
        assert!(ping.status.success(), "the daemon answers: {}", String::from_utf8_lossy(&ping.stderr));
    }
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "{} did not appear", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
