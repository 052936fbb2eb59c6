//! Those at the other end that need a process of their own. Each is this executable again, told its role.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crowd;
use super::server::{answered, command, signal, wait_for};

const ASK: &[u8] = b"GET /v1/check?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// This executable in a role.
pub fn cast(role: &str, words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(format!("role:{role}")).args(words);
    command
}

pub fn play(role: &str, words: &[String]) {
    let word = |index: usize| words.get(index).map(String::as_str).expect("a word");
    match role {
        "role:crowd" => crowd::come(Path::new(word(0)), word(1).parse().unwrap(), word(2)),
        "role:asking" => println(&ask(UnixStream::connect(word(0)).unwrap())),
        "role:changing" => changing(Path::new(word(0))),
        "role:closing" => closing(Path::new(word(0)), Path::new(word(1))),
        "role:leaving" => leaving(Path::new(word(0)), Path::new(word(1)), word(2).parse().unwrap()),
        "role:keeping" => keeping(Path::new(word(0))),
        "role:reusing" => reusing(Path::new(word(0)), word(1) == "before", words.get(2..).unwrap_or_default()),
        "role:activated" => activated(Path::new(word(0)), Path::new(word(1))),
        _ => panic!("no such role: {role}"),
    }
}

fn println(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").unwrap();
}

/// Asks, and says the status and what was answered.
fn ask(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    stream.write_all(ASK).unwrap();
    let answered = answered(&mut stream).expect("an answer");
    format!("{} {}", answered.status, answered.text().trim())
}

/// Connects as root and asks as somebody else.
fn changing(socket: &Path) {
    let stream = UnixStream::connect(socket).unwrap();
    let nobody = 65534;
    nix::unistd::setresgid(nobody.into(), nobody.into(), nobody.into()).unwrap();
    nix::unistd::setresuid(nobody.into(), nobody.into(), nobody.into()).unwrap();
    println(&ask(stream));
}

/// Waits for a sign, then asks on the connection that it was given as its stdin, and leaves the answer where the sign was.
fn keeping(sign: &Path) {
    wait(sign);
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let said = ask(stream);
    std::fs::write(sign.with_extension("draft"), said).unwrap();
    std::fs::rename(sign.with_extension("draft"), sign.with_extension("said")).unwrap();
}

pub fn wait(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{} did not come", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn keeper(stream: UnixStream, sign: &Path) -> Child {
    let stream = OwnedFd::from(stream);
    cast("keeping", &[sign.to_str().unwrap()])
        .stdin(stream)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Connects, gives the connection to another process, and lives on without it.
fn closing(socket: &Path, sign: &Path) {
    let mut keeper = keeper(UnixStream::connect(socket).unwrap(), sign);
    std::fs::write(sign, "").unwrap();
    keeper.wait().unwrap();
    println(&std::fs::read_to_string(sign.with_extension("said")).unwrap());
}

/// Connects, gives the connection to another process, and ends.
fn leaving(socket: &Path, sign: &Path, after_ms: u64) {
    drop(keeper(UnixStream::connect(socket).unwrap(), sign));
    std::thread::sleep(Duration::from_millis(after_ms));
}

/// In a pid namespace of its own: a server, a process that connects and ends, and another one that gets its pid. Says what the connection was
/// answered, with which pid. `before`: the server sleeps until the pid is another's.
fn reusing(desk: &Path, before: bool, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (mut server, socket) = command(desk, "answer_ms = 60000", &words);
    let mut server = server.stdout(Stdio::null()).spawn().unwrap();
    wait_for(&socket);
    if before {
        signal(&server, Signal::STOP);
    }
    let sign = desk.join("sign");
    let after = if before { "0" } else { "700" };
    let words = [socket.to_str().unwrap(), sign.to_str().unwrap(), after];
    let mut leaving = cast("leaving", &words).stdout(Stdio::null()).spawn().unwrap();
    let pid = leaving.id();
    leaving.wait().unwrap();
    let mut other = with_pid(pid);
    if before {
        signal(&server, Signal::CONT);
    }
    std::fs::write(&sign, "").unwrap();
    wait(&sign.with_extension("said"));
    for child in [&mut server, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    println(&format!("{pid} {}", std::fs::read_to_string(sign.with_extension("said")).unwrap()));
}

/// Another process with this pid (`/proc/sys/kernel/ns_last_pid`, `pid_namespaces(7)`).
fn with_pid(pid: u32) -> Child {
    for _ in 0..20 {
        let mut last = OpenOptions::new().write(true).open("/proc/sys/kernel/ns_last_pid").unwrap();
        last.write_all((pid - 1).to_string().as_bytes()).unwrap();
        let mut child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
        if child.id() == pid {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("pid {pid} could not be had again");
}

/// What a service manager does: opens the socket, and becomes the server.
fn activated(desk: &Path, socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let (mut server, _) = command(desk, "", &[]);
    server.env("LISTEN_FDS", "1").env("LISTEN_PID", std::process::id().to_string());
    server.env("LISTEN_FDS_FIRST_FD", listener.as_raw_fd().to_string());
    server.env("NOTIFY_SOCKET", desk.join("notify.sock"));
    panic!("{}", server.exec());
}
