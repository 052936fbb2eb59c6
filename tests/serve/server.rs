//! A running server, and what is said to it in plain bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const PARALLAX: &str = env!("CARGO_BIN_EXE_parallax");

/// A server that ends with the test.
pub struct Server {
    pub child: Child,
    pub socket: PathBuf,
    pub desk: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The command line of a server with this `[serve]`, in a directory of its own.
pub fn command(desk: &Path, serve: &str, words: &[&str]) -> (Command, PathBuf) {
    let (configuration, socket) = (desk.join("parallax.toml"), desk.join("run/parallax.sock"));
    std::fs::write(&configuration, format!("[serve]\n{serve}\n")).unwrap();
    let mut command = Command::new(PARALLAX);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").arg("serve");
    command.arg("--config").arg(configuration).arg("--socket").arg(&socket).arg("--no-binary").args(words);
    (command, socket)
}

/// Waits until somebody listens.
pub fn wait_for(socket: &Path) {
    let begun = Instant::now();
    while UnixStream::connect(socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody listens on {}", socket.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Server {
    pub fn start(serve: &str, words: &[&str]) -> Self {
        let desk = tempfile::tempdir().unwrap();
        // Other users ask too.
        std::fs::set_permissions(desk.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (mut command, socket) = command(desk.path(), serve, words);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for(&socket);
        Self { child, socket, desk }
    }

    pub fn get(&self, path: &str) -> Answered {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    pub fn say(&self, request: &[u8]) -> Answered {
        said(&self.socket, request).expect("an answer")
    }

    /// Resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_ascii_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn terminate(&mut self) -> std::process::ExitStatus {
        signal(&self.child, rustix::process::Signal::TERM);
        self.child.wait().unwrap()
    }
}

pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says something and takes in all that is answered.
pub fn said(socket: &Path, request: &[u8]) -> std::io::Result<Answered> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // A server may close before it has read all.
    let _ = stream.write_all(request);
    answered(&mut stream)
}

/// Takes in all that is answered.
pub fn answered(stream: &mut UnixStream) -> std::io::Result<Answered> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else {
        read?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    Ok(Answered { status, head, body: bytes.split_off(end + 4) })
}
