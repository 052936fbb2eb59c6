//! A container that sees the host's processes attacks every child of a run through `/proc`; and a trace of a run that executes
//! nothing but parallax and changes nothing.
//!
//! The attacker is this very test binary, started in the container: it is one static file.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

use parallax::context::enter::ARGUMENT;

use crate::doctor::{doctor, read};
use crate::engine::{Container, docker};
use crate::image::BUSYBOX;
use crate::seeds::background;

/// Set in the container: the process is the attacker.
pub const ATTACKER: &str = "PARALLAX_WORLD_ATTACKER";
/// The capabilities that Docker gives a container by default.
const DEFAULT: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,\
    +net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
/// What gives a handle on another process, its files or its memory.
const WAYS: [&str; 8] = ["root", "cwd", "fd", "environ", "maps", "mem", "exe", "ns"];

/// Tries every process that appears, over and over, and tells of each way that was open.
#[expect(clippy::print_stdout, reason = "the engine keeps what it prints")]
pub fn attack() {
    let before: BTreeSet<u32> = processes().into_iter().collect();
    let own = std::process::id();
    let mut told = BTreeSet::new();
    println!("begun");
    loop {
        for pid in processes() {
            let first = label(pid);
            // Of those that were there before, the victim of the control only.
            if pid == own || (before.contains(&pid) && !first.contains("4242")) {
                continue;
            }
            let open: Vec<&str> = WAYS.into_iter().filter(|way| is_open(pid, way)).collect();
            let name = format!("{first} {}", label(pid));
            if name.contains(ARGUMENT) && told.insert((pid, "seen")) {
                println!("seen {pid}");
            }
            for way in open {
                if told.insert((pid, way)) {
                    println!("open {way} {pid} {name}");
                }
            }
        }
    }
}

fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn label(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

fn is_open(pid: u32, way: &str) -> bool {
    let at = format!("/proc/{pid}/{way}");
    match way {
        "root" | "cwd" => std::fs::read_dir(format!("{at}/")).is_ok_and(|mut entries| entries.next().is_some()),
        "fd" => std::fs::read_dir(&at).is_ok_and(|entries| {
            entries.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok() || File::open(fd.path()).is_ok())
        }),
        "mem" => File::open(&at).is_ok(),
        "exe" => std::fs::read_link(&at).is_ok(),
        "ns" => std::fs::read_link(format!("{at}/net")).is_ok(),
        _ => std::fs::read(&at).is_ok_and(|bytes| !bytes.is_empty()),
    }
}

pub fn a_container_that_sees_the_hosts_processes_reaches_nothing_through_our_children() {
    let program = std::env::current_exe().expect("this binary");
    let mount = format!("{}:/attacker:ro", program.display());
    let variable = format!("{ATTACKER}=1");
    let options = ["--pid", "host", "-v", &mount, "-e", &variable];
    let container = Container::run("parallax-world-attacker", &options, BUSYBOX, &["/attacker"]);
    let said = || docker(&["logs", &container.name]).expect("its words");
    while !said().contains("begun") {
        std::thread::sleep(Duration::from_millis(50));
    }
    // The control: a process of the host's root with no more capabilities than the container has. It is wide open.
    let victim = background("setpriv", &["--bounding-set", DEFAULT, "sleep", "4242"]);
    std::thread::sleep(Duration::from_millis(500));
    let words = said();
    for way in WAYS {
        assert!(words.contains(&format!("open {way} {}", victim.0.id())), "the attack works ({way}): {words}");
    }
    for _ in 0..12 {
        let report = doctor(&["--offline", "--context", "container:parallax-world-attacker"], &[]);
        let contexts = report.json["contexts"].to_string();
        assert!(contexts.contains("container:parallax-world-attacker"), "it was looked from: {contexts}");
    }
    let words = said();
    let children = words.lines().filter(|line| line.starts_with("seen ")).count();
    assert!(children >= 12, "it saw {children} children: {words}");
    let ours = |line: &&str| line.starts_with("open ") && (line.contains(ARGUMENT) || line.contains("parallax doctor"));
    let opened: Vec<&str> = words.lines().filter(ours).collect();
    assert!(opened.is_empty(), "{opened:#?}");
}

/// System calls that change a file, a mount or another process; those that an architecture lacks are left out by `?`.
const CHANGES: &str = "?unlink,?unlinkat,?rename,?renameat,?renameat2,?mkdir,?mkdirat,?rmdir,?link,?linkat,?symlink,\
    ?symlinkat,?mknod,?mknodat,?chmod,?fchmod,?fchmodat,?chown,?lchown,?fchown,?fchownat,?truncate,?ftruncate,?mount,\
    ?umount2,?setxattr,?lsetxattr,?fsetxattr,?utimensat,?ptrace,?process_vm_writev,?pivot_root,?creat";

pub fn a_run_executes_nothing_but_parallax_and_changes_nothing() {
    let _container = Container::run("parallax-world-job", &crate::hostile::JOB, BUSYBOX, crate::hostile::SLEEP);
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace=execve,execveat,?open,openat,openat2,{CHANGES}"), "-o"])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_parallax"), "doctor", "--format", "json"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/root")
        .output()
        .expect("strace runs");
    let report = read(&output);
    assert!(report.json["contexts"].to_string().contains("container:parallax-world-job"));
    let trace = std::fs::read_to_string(trace).expect("a trace");
    // A child that is killed while strace looks at it shows as a call without a name.
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains('(') && !line.contains("???(")).collect();
    let executed: Vec<&&str> = calls.iter().filter(|line| line.contains("execve")).collect();
    assert!(executed.len() > 3, "the children were traced: {executed:#?}");
    let own = |line: &str| line.contains(env!("CARGO_BIN_EXE_parallax")) || line.contains("\"/proc/self/exe\"");
    let foreign: Vec<_> = executed.iter().filter(|line| !own(line)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
    let changing = |line: &&&str| {
        let opens_to_write =
            ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"].iter().any(|flag| line.contains(flag));
        let harmless = line.contains("execve") || (!opens_to_write && is_open_call(line));
        !harmless
    };
    let changed: Vec<_> = calls.iter().filter(changing).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

fn is_open_call(line: &str) -> bool {
    ["open(", "openat(", "openat2(", "<... open"].iter().any(|call| line.contains(call))
}
