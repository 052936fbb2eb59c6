//! Entering real contexts through the built binary: namespaces, containers, a filesystem that never answers.
//!
//! A child is held inside by handing it a standard output that is full: it has entered, wants to say so, and waits. Needs root; a test whose
//! means are missing names itself as left out, and fails where `CI` is set.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test may fail loudly and says what it leaves out")]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parallax::context::enter::{ARGUMENT, Entrance, EnvironmentSource, Request};
use parallax::snapshot::{Fact, Reason};
use parallax::sys::entry::{Plan, ProcessId, TakeOn, started};
use parallax::sys::process::ProcessDirectory;

const PARALLAX: &str = env!("CARGO_BIN_EXE_parallax");

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn left_out(test: &str, means: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{test} needs {means}");
    eprintln!("left out: {test} needs {means}");
    true
}

fn no_root(test: &str) -> bool {
    !rustix::process::geteuid().is_root() && left_out(test, "root")
}

fn no_docker(test: &str) -> bool {
    let answers = std::os::unix::net::UnixStream::connect("/var/run/docker.sock").is_ok();
    (!answers || no_root(test)) && left_out(test, "Docker")
}

fn process(pid: u32) -> Option<ProcessId> {
    let start_ticks = started(&ProcessDirectory::open(pid).ok()?.text("stat")).ok()?;
    Some(ProcessId { pid, start_ticks })
}

fn request(process: ProcessId) -> Request {
    Request {
        plan: Plan {
            process: Some(process),
            namespaces: [].into(),
            credentials: TakeOn::OfProcess,
            locks_known: false,
        },
        live: true,
        environment: EnvironmentSource::OfProcess,
        boot: "boot".into(),
        key: None,
        locks: None,
        wishes: serde_json::json!({}),
        probe_deadline_ms: 3000,
    }
}

fn written(request: &Request) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "request": request })).expect("a request")
}

/// A pipe into which nothing fits; what holds its reading end decides how long.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("non-blocking");
    while rustix::io::write(&writer, &[b'\n'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).expect("blocking");
    (reader, writer)
}

/// A child that has entered and waits to say so.
struct Held {
    child: Running,
    _reader: OwnedFd,
}

fn hold_inside(request: &Request) -> Held {
    let (reader, writer) = full_pipe();
    let mut child = Command::new(PARALLAX)
        .arg(ARGUMENT)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(writer)
        // Ours may be a file, and would be found among the child's handles.
        .stderr(Stdio::null())
        .spawn()
        .expect("parallax starts");
    child.stdin.take().expect("stdin").write_all(&written(request)).expect("the request");
    let held = Held { child: Running(child), _reader: reader };
    until("the child is inside", || field(held.pid(), "Seccomp").as_deref() == Some("2") && waits_in_pipe(held.pid()));
    held
}

impl Held {
    fn pid(&self) -> u32 {
        self.child.0.id()
    }
}

fn waits_in_pipe(pid: u32) -> bool {
    // Number 1 is write(2) on x86_64, 64 on aarch64.
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.starts_with("1 0x1 ") || call.starts_with("64 0x1 ")
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn field(pid: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The groups that decide access: real, effective and filesystem gid. The saved one is nobody's, so that nobody is our equal.
fn deciding_gids(pid: u32) -> Vec<String> {
    let all: Vec<String> = field(pid, "Gid").expect("it runs").split(' ').map(str::to_owned).collect();
    assert_eq!(all.len(), 4);
    vec![all[0].clone(), all[1].clone(), all[3].clone()]
}

fn link(pid: u32, name: &str) -> String {
    let target = std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"));
    target.to_string_lossy().into_owned()
}

/// `sleep` in namespaces of its own.
fn unshared(arguments: &[&str]) -> Running {
    let child = Command::new("unshare").args(arguments).args(["sleep", "1000"]).spawn().expect("unshare starts");
    let running = Running(child);
    until("sleep runs", || field(running.0.id(), "Name").as_deref() == Some("sleep"));
    running
}

#[test]
fn a_process_in_a_user_namespace_of_its_own_is_entered_with_its_rights_there_and_no_others() {
    if no_root("a_process_in_a_user_namespace_of_its_own_is_entered_with_its_rights_there_and_no_others") {
        return;
    }
    let target = unshared(&["--user", "--map-root-user", "--net", "--mount"]);
    let (pid, here) = (target.0.id(), std::process::id());
    let held = hold_inside(&request(process(pid).expect("it runs")));
    let inside = held.pid();
    assert_ne!(link(pid, "ns/user"), link(here, "ns/user"));
    // Full capabilities mean something in that namespace only, and a file that only the host's root may write is not its to write.
    assert_eq!(link(inside, "ns/user"), link(pid, "ns/user"));
    assert_eq!(link(inside, "ns/net"), link(pid, "ns/net"));
    assert_eq!(link(inside, "ns/mnt"), link(here, "ns/mnt"));
    for name in ["Uid", "Groups", "CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(inside, name), field(pid, name), "{name}");
    }
    assert_eq!(deciding_gids(inside), deciding_gids(pid));
    assert_eq!(field(inside, "NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(link(inside, "root"), "/", "a copy of procfs that is attached nowhere");
}

#[test]
fn a_child_holds_no_handle_of_the_target_but_its_root() {
    if no_root("a_child_holds_no_handle_of_the_target_but_its_root") {
        return;
    }
    let target = unshared(&["--net", "--mount"]);
    let held = hold_inside(&request(process(target.0.id()).expect("it runs")));
    let inside = held.pid();
    let mut handles: Vec<String> = std::fs::read_dir(format!("/proc/{inside}/fd"))
        .expect("we may look")
        .map(|entry| link(inside, &format!("fd/{}", entry.expect("an entry").file_name().to_string_lossy())))
        .filter(|handle| !handle.starts_with("pipe:") && handle != "/dev/null" && !handle.contains("tty"))
        // Our own, opened before anything of the target: questions to name servers are numbered from it.
        .filter(|handle| handle != "/dev/urandom")
        .collect();
    handles.sort();
    handles.dedup();
    assert_eq!(handles, ["/".to_owned(), format!("/proc/{inside}/fd")]);
}

#[test]
fn a_user_without_capabilities_is_taken_on_with_none() {
    if no_root("a_user_without_capabilities_is_taken_on_with_none") {
        return;
    }
    let sleep = Command::new("setpriv")
        .args(["--reuid", "1000", "--regid", "1000", "--groups", "4,27", "sleep", "1000"])
        .spawn()
        .expect("setpriv starts");
    let target = Running(sleep);
    until("sleep runs", || field(target.0.id(), "Name").as_deref() == Some("sleep"));
    let held = hold_inside(&request(process(target.0.id()).expect("it runs")));
    assert_eq!(field(held.pid(), "Uid").as_deref(), Some("1000 1000 1000 1000"));
    assert_eq!(field(held.pid(), "Groups").as_deref(), Some("4 27"));
    assert_eq!(field(held.pid(), "CapEff").as_deref(), Some("0000000000000000"));
    assert_eq!(field(held.pid(), "CapPrm").as_deref(), Some("0000000000000000"));
}

fn entrance() -> Entrance {
    Entrance::new(4).with_executable(PARALLAX)
}

fn look(entrance: &Entrance, request: &Request, milliseconds: u64) -> parallax::context::enter::Looked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let deadline = Duration::from_millis(milliseconds);
    runtime.block_on(entrance.look(request, tokio::time::Instant::now() + deadline))
}

#[test]
fn a_target_that_ended_or_whose_pid_was_used_again_is_refused() {
    let target = Running(Command::new("sleep").arg("1000").spawn().expect("sleep"));
    let id = process(target.0.id()).expect("it runs");
    let mut asked = request(id);
    asked.plan.credentials = TakeOn::Own;
    assert_eq!(look(&entrance(), &asked, 5000).refused, None);
    let mut reused = request(ProcessId { start_ticks: id.start_ticks - 1, ..id });
    reused.plan.credentials = TakeOn::Own;
    assert_eq!(look(&entrance(), &reused, 5000).refused, Some(Reason::Vanished));
    drop(target);
    let gone = look(&entrance(), &asked, 5000);
    assert_eq!(gone.refused, Some(Reason::Vanished));
    assert_eq!(gone.facts.identity.uid, Fact::Unobserved(Reason::Vanished));
}

#[test]
fn a_process_whose_namespace_is_not_the_expected_one_is_refused() {
    let target = Running(Command::new("sleep").arg("1000").spawn().expect("sleep"));
    let mut asked = request(process(target.0.id()).expect("it runs"));
    asked.plan.credentials = TakeOn::Own;
    let net = ProcessDirectory::open(target.0.id()).and_then(|it| it.namespace("net")).expect("its namespace");
    let other = parallax::sys::process::NamespaceNumber { inode: net.inode + 1, ..net };
    asked.plan.namespaces.insert("net".into(), other);
    assert_eq!(look(&entrance(), &asked, 5000).refused, Some(Reason::Vanished));
}

/// A stand-in for the child, in shell: what the parent does must not depend on a well-behaved one.
fn stand_in(directory: &tempfile::TempDir, script: &str) -> Entrance {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.path().join("child");
    std::fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Entrance::new(1).with_executable(path)
}

#[test]
fn a_family_that_overruns_is_given_up_and_another_child_looks_at_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let entrance = stand_in(
        &directory,
        r#"asked=$(cat); echo '{"entered":{"limits":["one"]}}'
        case $asked in *'"given_up":{"store"'*) ;; *)
            echo '{"family":{"name":"identity","facts":{"uid":7}}}'; echo '{"begin":"store"}'; exec sleep 1000 ;;
        esac
        echo '{"begin":"tools"}'; echo '{"family":{"name":"tools","facts":{"path":null}}}'; echo '"done"'"#,
    );
    let mut asked = request(ProcessId { pid: 1, start_ticks: 1 });
    asked.probe_deadline_ms = 700;
    let looked = look(&entrance, &asked, 20_000);
    assert_eq!(looked.facts.identity.uid, Fact::Present(7));
    assert_eq!(looked.facts.tools.path, Fact::Absent);
    assert!(matches!(looked.facts.store.db.mode, Fact::Unobserved(Reason::TimedOut { .. })));
    assert_eq!(looked.unfinished.iter().map(|it| it.family.as_str()).collect::<Vec<_>>(), ["store"]);
    assert!(looked.took_ms < 10_000, "{} ms", looked.took_ms);
}

#[test]
fn a_child_that_talks_without_end_is_cut_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let entrance = stand_in(&directory, r#"cat >/dev/null; echo '{"entered":{"limits":[]}}'; exec cat /dev/zero"#);
    let looked = look(&entrance, &request(ProcessId { pid: 1, start_ticks: 1 }), 20_000);
    assert!(matches!(looked.facts.identity.uid, Fact::Unobserved(Reason::NotEntered { .. })), "{looked:?}");
}

/// A FUSE server that answers its first message and no other (`fuse(4)`, `linux/fuse.h`).
const DEAD_SERVER: &str = r#"
import ctypes, os, struct, sys, time
fd = os.open('/dev/fuse', os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
if libc.mount(b'dead', sys.argv[1].encode(), b'fuse', 0, options): sys.exit(f'mount: {ctypes.get_errno()}')
unique = struct.unpack_from('<IIQ', os.read(fd, 1 << 20))[2]
os.write(fd, struct.pack('<IiQ', 16 + 64, 0, unique) + struct.pack('<IIIIHHI', 7, 31, 0, 0, 12, 9, 4096) + bytes(40))
print('mounted', flush=True)
while True: os.read(fd, 1 << 20)
"#;

struct DeadMount {
    server: Running,
    directory: tempfile::TempDir,
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        // Its end aborts the connection, and with it whatever waits.
        let _ = self.server.0.kill();
        let _ = self.server.0.wait();
        let _ = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
    }
}

fn dead_mount() -> Option<DeadMount> {
    let directory = tempfile::tempdir().ok()?;
    let mut server =
        Command::new("python3").args(["-c", DEAD_SERVER]).arg(directory.path()).stdout(Stdio::piped()).spawn().ok()?;
    let mut word = [0; 7];
    let said = std::io::Read::read_exact(server.stdout.as_mut()?, &mut word).is_ok();
    let mount = DeadMount { server: Running(server), directory };
    said.then_some(mount)
}

#[test]
fn a_child_below_a_dead_filesystem_is_killed_and_abandoned_by_the_deadline() {
    const NAME: &str = "a_child_below_a_dead_filesystem_is_killed_and_abandoned_by_the_deadline";
    if no_root(NAME) {
        return;
    }
    let Some(mount) = dead_mount() else {
        left_out(NAME, "FUSE and python3");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let script = format!(
        r#"cat >/dev/null; echo '{{"entered":{{"limits":[]}}}}'; echo '{{"begin":"store"}}'
        echo $$ > {pid}; exec stat {dead}/file"#,
        pid = directory.path().join("pid").display(),
        dead = mount.directory.path().display(),
    );
    let entrance = stand_in(&directory, &script);
    let asked = request(ProcessId { pid: 1, start_ticks: 1 });
    let begun = Instant::now();
    let looked = look(&entrance, &asked, 1500);
    assert!(begun.elapsed() < Duration::from_millis(3000), "{:?}", begun.elapsed());
    assert!(matches!(looked.facts.store.db.mode, Fact::Unobserved(Reason::TimedOut { .. })));
    // It was killed and is there still: to wait for it would have hung.
    let pid: u32 = std::fs::read_to_string(directory.path().join("pid")).expect("a pid").trim().parse().expect("a pid");
    until("the killed child sleeps on", || field(pid, "State").as_deref() == Some("D (disk sleep)"));
}

#[test]
fn nothing_is_executed_but_parallax_itself() {
    const NAME: &str = "nothing_is_executed_but_parallax_itself";
    if no_root(NAME) || (Command::new("strace").arg("-V").output().is_err() && left_out(NAME, "strace")) {
        return;
    }
    let target = unshared(&["--net", "--mount"]);
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace");
    let mut child = Command::new("strace")
        .args(["-f", "-e", "trace=execve,execveat,openat,openat2", "-o"])
        .arg(&trace)
        .args([PARALLAX, ARGUMENT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("strace starts");
    let asked = request(process(target.0.id()).expect("it runs"));
    child.stdin.take().expect("stdin").write_all(&written(&asked)).expect("the request");
    let output = child.wait_with_output().expect("it ends");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"done\""), "{output:?}");
    let trace = std::fs::read_to_string(trace).expect("a trace");
    assert_eq!(trace.lines().filter(|line| line.contains("execve")).count(), 1, "{trace}");
    assert!(!trace.contains("O_WRONLY") && !trace.contains("O_RDWR") && !trace.contains("O_CREAT"), "{trace}");
}

const IMAGE: &str = "parallax-test-busybox";

/// A container of a static busybox, made without any registry.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn container(options: &[&str], script: &str) -> (Container, u32) {
    static IMPORT: std::sync::Once = std::sync::Once::new();
    IMPORT.call_once(|| {
        let tree = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(tree.path().join("bin")).expect("bin");
        std::fs::copy("/bin/busybox", tree.path().join("bin/busybox")).expect("a static busybox");
        std::os::unix::fs::symlink("busybox", tree.path().join("bin/sh")).expect("sh");
        let archive = tree.path().join("image.tar");
        let tar = Command::new("tar").args(["-C"]).arg(tree.path()).arg("-cf").arg(&archive).arg("bin").status();
        assert!(tar.expect("tar starts").success());
        docker(&["import", &archive.to_string_lossy(), IMAGE]);
    });
    let mut arguments = vec!["run", "--detach", "--network", "none"];
    arguments.extend(options);
    arguments.extend([IMAGE, "/bin/sh", "-c", script]);
    let container = Container(docker(&arguments));
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container.0]).parse().expect("a pid");
    (container, pid)
}

#[test]
fn a_container_is_entered_with_its_user_its_network_and_its_root() {
    if no_docker("a_container_is_entered_with_its_user_its_network_and_its_root") {
        return;
    }
    let (_container, pid) = container(&["--user", "1000:1000"], "while :; do /bin/busybox sleep 1; done");
    let held = hold_inside(&request(process(pid).expect("it runs")));
    for name in ["Uid", "CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(held.pid(), name), field(pid, name), "{name}");
    }
    assert_eq!(deciding_gids(held.pid()), deciding_gids(pid));
    assert_ne!(field(held.pid(), "Gid"), field(pid, "Gid"), "nobody is its equal, not even on its way out");
    assert_eq!(link(held.pid(), "ns/net"), link(pid, "ns/net"));
    assert_eq!(field(held.pid(), "CapEff").as_deref(), Some("0000000000000000"));
}

#[test]
fn a_container_that_sees_the_hosts_processes_reaches_nothing_through_a_child() {
    if no_docker("a_container_that_sees_the_hosts_processes_reaches_nothing_through_a_child") {
        return;
    }
    let (container, pid) = container(&["--pid", "host"], "while :; do /bin/busybox sleep 1; done");
    let held = hold_inside(&request(process(pid).expect("it runs")));
    // The same identity and capabilities: only that the child is closed to others keeps the container out.
    assert_eq!(field(held.pid(), "CapEff"), field(pid, "CapEff"));
    let attempt = |of: u32| {
        let script = format!(
            "cd /proc/{of} || exit 1; for name in root/ cwd/; do busybox ls $name >/dev/null 2>&1 && echo $name; done; \
             for name in fd/0 fd/3; do busybox readlink $name >/dev/null 2>&1 && echo $name; done; \
             for name in environ maps; do busybox cat $name >/dev/null 2>&1 && echo $name; done; \
             busybox dd if=mem bs=1 count=0 >/dev/null 2>&1 && echo mem; busybox readlink exe >/dev/null 2>&1 && echo exe; \
             echo tried"
        );
        docker(&["exec", &container.0, "/bin/sh", "-c", &format!("PATH=/bin; {script}")])
    };
    // The numbers of our handles can be listed by any root; where they lead can't. The attempts do succeed against a
    // process of the container's own.
    assert_eq!(attempt(pid), "root/\ncwd/\nfd/0\nenviron\nmaps\nmem\nexe\ntried");
    assert_eq!(attempt(held.pid()), "tried");
    // And at no moment of an entry: many children while the container reads through all of them. A process that has given up its memory on its
    // way out shows empty texts to everybody; only what holds something counts.
    let scan = "PATH=/bin; end=$(($(busybox date +%s) + 5)); while [ $(busybox date +%s) -lt $end ]; do for root in /proc/[0-9]*; do \
        busybox grep -qs look-from-withi[n] $root/cmdline && { echo seen; \
        busybox ls $root/root/ >/dev/null 2>&1 && echo open root; \
        for name in $root/fd/*; do busybox readlink $name >/dev/null 2>&1 && echo open $name; done; \
        for name in environ maps; do busybox cat $root/$name 2>/dev/null | busybox grep -q . && echo open $name; done; }; done; done";
    let scanner = Command::new("docker")
        .args(["exec", &container.0, "/bin/sh", "-c", scan])
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker starts");
    let begun = Instant::now();
    let entrance = entrance();
    while begun.elapsed() < Duration::from_secs(4) {
        assert_eq!(look(&entrance, &request(process(pid).expect("it runs")), 5000).refused, None);
    }
    let said = scanner.wait_with_output().expect("it ends by itself").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("seen"), "the container saw no child");
    assert!(!said.contains("open"), "{said}");
}
