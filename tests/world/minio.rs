//! A real MinIO server with users and policies, its client `mc`, and a real registry: built by `s3-build/build`, run until they are dropped.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::engine::{Background, gateway};
use crate::server::Issued;

/// Where the programs are, built when they are missing or behind.
pub fn programs() -> PathBuf {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("tests/world/s3-build/build")).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(root.join(".cache/s3")) } else { Err(said) }
    };
    BUILT.get_or_init(build).clone().expect("MinIO, mc and the registry are built")
}

/// `mc` as a mount for containers, at a path that says nothing of who looks.
pub fn mc_mount() -> String {
    let copy = Path::new("/var/tmp/parallax-world/mc");
    std::fs::create_dir_all("/var/tmp/parallax-world").expect("mkdir");
    let _ = std::fs::remove_file(copy);
    std::fs::copy(programs().join("mc"), copy).expect("a copy");
    format!("{}:/usr/bin/mc:ro", copy.display())
}

/// The access key of the administrator.
const ROOT: (&str, &str) = ("parallax-world-root", "root-secret-0123456789");

/// A free port of the host on the default bridge.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((gateway(), 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn wait_for(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect((gateway(), port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server with a bucket `cache` in which a `nix-cache-info` lies.
pub struct Store {
    pub port: u16,
    directory: tempfile::TempDir,
    _process: Background,
}

impl Store {
    /// Starts one in this region, on the default bridge.
    pub fn start(region: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        let port = free_port();
        let process = Command::new(programs().join("minio"))
            .args(["server", "--quiet", "--address", &format!("{}:{port}", gateway())])
            .args(["--console-address", &format!("127.0.0.1:{}", free_port())])
            .arg(directory.path().join("data"))
            .env_clear()
            .env("HOME", directory.path())
            .env("MINIO_ROOT_USER", ROOT.0)
            .env("MINIO_ROOT_PASSWORD", ROOT.1)
            .env("MINIO_SITE_REGION", region)
            .env("MINIO_UPDATE", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("minio starts");
        let store = Self { port, directory, _process: Background(process) };
        wait_for(port);
        store.ready();
        let info = store.directory.path().join("nix-cache-info");
        std::fs::write(&info, crate::server::INFO).expect("a file");
        store.administer(&["mb", "adm/cache"]);
        store.administer(&["cp", &info.display().to_string(), "adm/cache/nix-cache-info"]);
        store
    }

    /// The port is open before the server is.
    fn ready(&self) {
        let begun = Instant::now();
        while !self.client(&["ls", "adm"]).status.success() {
            assert!(begun.elapsed() < Duration::from_secs(30), "MinIO does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}:{}", gateway(), self.port)
    }

    /// The value of `MC_HOST_x` with this key.
    pub fn with_key(&self, (id, secret): (&str, &str)) -> String {
        format!("http://{id}:{secret}@{}:{}", gateway(), self.port)
    }

    fn client(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(programs().join("mc"));
        command.arg("--config-dir").arg(self.directory.path().join("mc")).args(arguments);
        command.env_clear().env("HOME", self.directory.path()).env("MC_HOST_adm", self.with_key(ROOT));
        command.output().expect("mc runs")
    }

    /// Something that only its administrator may.
    pub fn administer(&self, arguments: &[&str]) {
        let output = self.client(arguments);
        assert!(output.status.success(), "mc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Adds a user, who may read everything or nothing.
    pub fn user(&self, (id, secret): (&str, &str), may_read: bool) {
        self.administer(&["admin", "user", "add", "adm", id, secret]);
        if may_read {
            self.administer(&["admin", "policy", "attach", "adm", "readonly", "--user", id]);
        }
    }
}

/// What `mc ls` with this configuration directory says of an alias.
pub fn mc_lists(configuration: &Path, alias: &str) -> Result<String, String> {
    let mut command = Command::new(programs().join("mc"));
    command.arg("--config-dir").arg(configuration).args(["ls", alias]).env_clear().env("HOME", "/nonexistent");
    let output = command.output().expect("mc runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// A front before a server that makes every request as old as it says: what a server sees of a client whose clock stands.
pub struct OldFront(pub u16);

impl OldFront {
    /// Passes on to this port, each `X-Amz-Date` made this one.
    pub fn before(port: u16, date: &'static str) -> Self {
        let listener = TcpListener::bind((gateway(), 0)).expect("a port");
        let own = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || pass_on(stream, port, date));
            }
        });
        Self(own)
    }
}

fn pass_on(mut stream: TcpStream, port: u16, date: &str) {
    let Ok(mut onward) = TcpStream::connect((gateway(), port)) else { return };
    let (mut from, mut to) = (onward.try_clone().expect("a clone"), stream.try_clone().expect("a clone"));
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut head, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head).into_owned();
            let old = text.split_inclusive("\r\n").map(|line| {
                let is_date = line.to_ascii_lowercase().starts_with("x-amz-date:");
                if is_date { format!("X-Amz-Date: {date}\r\n") } else { line.to_owned() }
            });
            let _ = onward.write_all(old.collect::<String>().as_bytes());
            head.clear();
        }
    }
}

/// A registry of the Distribution project that asks for a login (`htpasswd`).
pub struct Registry {
    pub port: u16,
    _directory: tempfile::TempDir,
    _process: Background,
}

impl Registry {
    /// The user and the password that it knows.
    pub const LOGIN: (&str, &str) = ("ci", "registry-password-1");

    pub fn start() -> Self {
        Self::with(None)
    }

    /// The same over TLS.
    pub fn start_tls(certificate: &Issued) -> Self {
        Self::with(Some(certificate))
    }

    fn with(certificate: Option<&Issued>) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        let port = free_port();
        let path = |name: &str| directory.path().join(name).display().to_string();
        // bcrypt of the password above.
        let line = format!("{}:$2b$04$/Vxd/cdFEg3S7.zK2nPQnuea3wi8v6f7xxKfDJ4fGCmNikcqLc.uy\n", Self::LOGIN.0);
        std::fs::write(path("htpasswd"), line).expect("htpasswd");
        let tls = certificate.map(|certificate| {
            std::fs::write(path("leaf.crt"), &certificate.pem).expect("a certificate");
            std::fs::write(path("leaf.key"), certificate.key_pem()).expect("a key");
            format!("  tls:\n    certificate: {}\n    key: {}\n", path("leaf.crt"), path("leaf.key"))
        });
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {}:{port}\n{}\
             auth:\n  htpasswd:\n    realm: parallax-world\n    path: {}\n",
            path("data"),
            gateway(),
            tls.unwrap_or_default(),
            path("htpasswd")
        );
        std::fs::write(path("config.yml"), config).expect("config.yml");
        let process = Command::new(programs().join("registry"))
            .args(["serve", &path("config.yml")])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        wait_for(port);
        Self { port, _directory: directory, _process: Background(process) }
    }
}
