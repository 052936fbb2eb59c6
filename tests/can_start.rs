//! "Can start" is what `execve(2)` and the loader really do: programs are built, spoiled in one way each, looked at through
//! the probe, and then started in a `chroot` of their root by a small static program that calls `execve` and nothing else.
//!
//! Needs gcc, a static busybox, `unshare` and the right to mount; runs itself again in a mount namespace of its own.
#![expect(clippy::expect_used, reason = "what a test can't build it can't compare")]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use parallax::probe::environment::Environment;
use parallax::probe::{Target, Wishes, tools};
use parallax::snapshot::Fact;
use parallax::snapshot::facts::Tools;
use parallax::sys::Root;
use parallax::sys::process::ProcessDirectory;

const INNER: &str = "PARALLAX_TEST_MOUNT_NAMESPACE";
const PATH: &str = "PATH=/t:/noexec:/bin";
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH=/opt/named";

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"started\"); return 0; }\n";
const HELLO32: &str = r#"
void _start(void) {
    __asm__ volatile("int $0x80" : : "a"(4), "b"(1), "c"("started\n"), "d"(8) : "memory");
    __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}
"#;
/// Prints the errno of a failed execve and ends with 200.
const EXECUTE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <grp.h>
int main(int count, char **words) {
    if (count < 4 || chroot(words[1]) || chdir("/")) return 201;
    int uid = atoi(words[2]);
    if (uid && (setgroups(0, 0) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))) return 202;
    char *arguments[] = { words[3], 0 };
    execve(words[3], arguments, words + 4);
    fprintf(stderr, "execve: errno %d\n", errno);
    return 200;
}
"#;

/// What really happens.
struct Oracle {
    started: bool,
    said: String,
}

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name.trim_start_matches('/'))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(&path, bytes).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("it was built")
    }

    fn compile(&self, to: &str, source: &str, flags: &[&str]) {
        self.write("/src/source.c", source, 0o644);
        let to = self.path(to);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("mkdir");
        let status =
            Command::new("gcc").arg("-o").arg(&to).arg(self.path("/src/source.c")).args(flags).status().expect("gcc");
        assert!(status.success(), "gcc {flags:?}");
    }

    fn flag(&self, prefix: &str, name: &str) -> String {
        format!("{prefix}{}", self.path(name).display())
    }

    /// Copies a file of the host with the libraries that its loader finds for it.
    fn take(&self, from: &str, to: &str) {
        self.write(to, std::fs::read(from).expect("a file of the host"), 0o755);
        let listed = Command::new("ldd").arg(from).output().expect("ldd");
        for word in String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
            self.write(word, std::fs::read(word).expect("a library"), 0o755);
        }
    }

    fn start(&self, execute: &Path, uid: u32, path: &str) -> Oracle {
        let output = Command::new(execute)
            .arg(self.directory.path())
            .args([&uid.to_string(), path, PATH, LIBRARY_PATH])
            .output()
            .expect("the oracle runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let said = format!("{} {} {}", output.status, text(&output.stdout), text(&output.stderr));
        Oracle { started: text(&output.stdout).starts_with("started") && output.status.success(), said }
    }

    /// Looks as this uid, in a thread of its own: credentials are a thread's.
    fn look(&self, uid: u32, names: &[String]) -> Tools {
        let process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
        let environment = Fact::Present(Environment::parse(format!("{PATH}\0{LIBRARY_PATH}\0").as_bytes()));
        let wishes = Wishes { tools: names.to_vec(), ..Wishes::default() };
        let root = Root::open(self.directory.path()).expect("it can be opened");
        let look = || {
            if uid != 0 {
                let (gid, uid) = (rustix::thread::Gid::from_raw(uid), rustix::thread::Uid::from_raw(uid));
                rustix::thread::set_thread_groups(&[]).expect("root may");
                rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may");
                rustix::thread::set_thread_res_uid(uid, uid, uid).expect("root may");
            }
            tools::observe(&Target {
                root: &root,
                boot: "boot",
                process: &process,
                live: true,
                environment: &environment,
                wishes: &wishes,
                key: None,
                locks: &Ok(Vec::new()),
                incomplete: &[],
            })
        };
        std::thread::scope(|scope| scope.spawn(look).join().expect("it ends"))
    }
}

/// `dl_new_hash`'s elder, the System V ABI's hash, by which versions are looked up.
fn version_hash(name: &str) -> [u8; 4] {
    let mut hash = 0_u32;
    for byte in name.bytes() {
        hash = (hash << 4).wrapping_add(u32::from(byte));
        hash = (hash ^ ((hash & 0xf000_0000) >> 24)) & 0x0fff_ffff;
    }
    hash.to_le_bytes()
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at).collect();
    for at in &places {
        bytes[*at..*at + old.len()].copy_from_slice(new);
    }
    places.len()
}

fn binaries(world: &World) {
    world.compile("/t/static", HELLO, &["-static"]);
    world.compile("/t/static-pie", HELLO, &["-static-pie"]);
    world.compile("/t/dynamic", HELLO, &[]);
    world.compile("/t/no-pie", HELLO, &["-no-pie"]);
    world.compile("/t/musl-loader", HELLO, &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]);
    world.compile("/t/loader-directory", HELLO, &["-Wl,--dynamic-linker=/t"]);
    world.compile("/t/loader-plain-mode", HELLO, &["-Wl,--dynamic-linker=/ld/plain"]);
    world.compile("/t/loader-text", HELLO, &["-Wl,--dynamic-linker=/ld/text"]);
    world.compile("/t/loader-foreign", HELLO, &["-Wl,--dynamic-linker=/ld/foreign"]);
    world.compile("/t/loader-dangling", HELLO, &["-Wl,--dynamic-linker=/ld/dangling"]);
    world.compile("/t/loader-linked", HELLO, &["-Wl,--dynamic-linker=/ld/linked"]);
    world.compile("/t/loader-noexec", HELLO, &["-Wl,--dynamic-linker=/noexec/loader"]);
    world.compile(
        "/t/i386",
        HELLO32,
        &["-m32", "-nostdlib", "-static", "-ffreestanding", "-no-pie", "-fno-pic", "-fno-stack-protector"],
    );
    let loader = std::fs::read("/lib64/ld-linux-x86-64.so.2").expect("glibc's loader");
    world.write("/ld/plain", &loader, 0o644);
    world.write("/ld/text", "no loader at all\n", 0o755);
    let mut foreign = loader;
    foreign[18] = 183;
    world.write("/ld/foreign", &foreign, 0o755);
    symlink("/ld/nowhere", world.path("/ld/dangling")).expect("symlink");
    symlink("/lib64/ld-linux-x86-64.so.2", world.path("/ld/linked")).expect("symlink");

    let whole = world.read("/t/static");
    let patched = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    world.write("/t/aarch64", patched(18, 183), 0o755);
    world.write("/t/relocatable", patched(16, 1), 0o755);
    world.write("/t/phentsize", patched(54, 32), 0o755);
    world.write("/t/cut-in-header", &whole[..40], 0o755);
    world.write("/t/cut-in-table", &whole[..100], 0o755);
    world.write("/t/cut-in-segments", &whole[..whole.len() / 3], 0o755);
    world.write("/t/empty", "", 0o755);
    world.write("/t/text", "echo started\n", 0o755);
    world.write("/t/plain-mode", &whole, 0o644);
    world.write("/t/no-read", &whole, 0o711);
    world.write("/t/owner-only", &whole, 0o700);
    world.write("/t/others-only", &whole, 0o705);
    world.write("/t/set-id", &whole, 0o4755);
    world.write("/noexec/on-noexec", &whole, 0o755);
    std::fs::create_dir_all(world.path("/t/directory")).expect("mkdir");
    symlink("/t/nowhere", world.path("/t/dangling")).expect("symlink");
    symlink("/t/loop", world.path("/t/loop")).expect("symlink");
    symlink("/t/static", world.path("/t/linked")).expect("symlink");
    world.write("/shut/inside", &whole, 0o755);
    symlink("/shut/inside", world.path("/t/in-shut-directory")).expect("symlink");
    std::fs::set_permissions(world.path("/shut"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
}

fn scripts(world: &World) {
    let script = |name: &str, text: &str| world.write(&format!("/t/{name}"), text, 0o755);
    script("script", "#!/bin/sh\necho started\n");
    script("script-blanks", "#! \t/bin/sh \t\necho started\n");
    script("script-unended", "#!/bin/echo started");
    script("script-no-interpreter", "#!/bin/none\necho started\n");
    script("script-crlf", "#!/bin/sh\r\necho started\r\n");
    script("script-only-marker", "#!\necho started\n");
    script("script-long-path", &format!("#!/{}/bin/sh\necho started\n", "./".repeat(150)));
    script("script-long-argument", &format!("#!/bin/echo started {}\n", "x".repeat(300)));
    script("script-directory", "#!/bin\n");
    script("script-plain-interpreter", "#!/t/plain-mode\n");
    script("script-noexec-interpreter", "#!/noexec/on-noexec\n");
    script("script-of-missing-loader", "#!/t/musl-loader\n");
    script("script-of-program", "#!/t/static\n");
    world.write("/noexec/script-on-noexec", "#!/bin/sh\necho started\n", 0o755);
    script("chain-1", "#!/t/static\n");
    for depth in 2..=7 {
        script(&format!("chain-{depth}"), &format!("#!/t/chain-{}\n", depth - 1));
    }
    script("env-found", "#!/usr/bin/env static\n");
    script("env-missing", "#!/usr/bin/env python9\n");
    script("env-blank", "#!/usr/bin/env sh -e\necho started\n");
    script("env-split", "#!/usr/bin/env -S sh -e\necho started\n");
    script("env-of-missing-loader", "#!/usr/bin/env musl-loader\n");
    script("env-path", "#!/usr/bin/env /t/static\n");
}

fn libraries(world: &World) {
    let function = "int f(void) { return 0; }\n";
    let caller = "#include <stdio.h>\nint f(void);\nint main(void) { puts(\"started\"); return f(); }\n";
    let at = world.flag("-L", "/build");
    let program = |name: &str, library: &str, more: &[&str]| {
        let flags = [&[at.as_str(), "-Wl,--no-as-needed", library], more].concat();
        world.compile(&format!("/t/{name}"), caller, &flags);
    };
    let library = |name: &str| {
        let soname = format!("-Wl,-soname,lib{name}.so");
        world.compile(&format!("/build/lib{name}.so"), function, &["-shared", "-fPIC", &soname]);
    };
    for name in ["gone", "beside", "named", "cached", "inner"] {
        library(name);
    }
    program("needs-gone", "-lgone", &[]);
    program("needs-beside", "-lbeside", &["-Wl,-rpath,$ORIGIN/../opt/beside", "-Wl,--enable-new-dtags"]);
    program("needs-rpath", "-lbeside", &["-Wl,-rpath,/opt/beside", "-Wl,--disable-new-dtags"]);
    program("needs-wrong-runpath", "-lbeside", &["-Wl,-rpath,/opt/elsewhere"]);
    program("needs-named", "-lnamed", &[]);
    program("needs-cached", "-lcached", &[]);
    world.write("/opt/beside/libbeside.so", world.read("/build/libbeside.so"), 0o644);
    world.write("/opt/named/libnamed.so", world.read("/build/libnamed.so"), 0o644);
    world.write("/opt/cached/libcached.so", world.read("/build/libcached.so"), 0o644);
    world.write("/etc/ld.so.conf", "/opt/cached\n", 0o644);
    // A library that needs one which is not there.
    let flags = ["-shared", "-fPIC", &at, "-Wl,--no-as-needed", "-linner", "-Wl,-soname,libouter.so"];
    world.compile("/build/libouter.so", "int f(void);\nint g(void) { return f(); }\n", &flags);
    world.write("/opt/named/libouter.so", world.read("/build/libouter.so"), 0o644);
    let outer = "#include <stdio.h>\nint g(void);\nint main(void) { puts(\"started\"); return g(); }\n";
    world.compile("/t/needs-inner", outer, &[&at, "-Wl,--no-as-needed", "-louter", "-Wl,--allow-shlib-undefined"]);
    inherited(world, &at, outer);
    versions(world, function, &at, caller);
}

/// A program, a library with a path of its own, one without, and one that only the first one's path leads to.
fn inherited(world: &World, at: &str, outer: &str) {
    let shared = |to: &str, source: &str, more: &[&str]| {
        let soname = format!("-Wl,-soname,lib{to}.so");
        let flags = [&["-shared", "-fPIC", at, "-Wl,--no-as-needed", soname.as_str()], more].concat();
        world.compile(&format!("/build/lib{to}.so"), source, &flags);
    };
    for (kind, tags) in [("rpath", "-Wl,--disable-new-dtags"), ("runpath", "-Wl,--enable-new-dtags")] {
        let name = |part: &str| format!("{kind}-{part}");
        shared(&name("last"), "int f(void) { return 0; }\n", &[]);
        shared(&name("middle"), "int f(void);\nint h(void) { return f(); }\n", &[&format!("-l{}", name("last"))]);
        let first =
            [&format!("-l{}", name("middle")), "-Wl,-rpath,/opt/inherited", tags, "-Wl,--allow-shlib-undefined"];
        shared(&name("first"), "int h(void);\nint g(void) { return h(); }\n", &first);
        let flags = [at, "-Wl,--no-as-needed", &format!("-l{}", name("first")), "-Wl,--allow-shlib-undefined"];
        world.compile(&format!("/t/inherits-{kind}"), outer, &flags);
        for (part, directory) in [("first", "named"), ("middle", "inherited"), ("last", "inherited")] {
            let library = format!("lib{}.so", name(part));
            world.write(&format!("/opt/{directory}/{library}"), world.read(&format!("/build/{library}")), 0o644);
        }
    }
    // A RUNPATH of the one in the middle shuts off what the others have.
    shared("shut", "int f(void) { return 0; }\n", &[]);
    let elsewhere = ["-lshut", "-Wl,-rpath,/opt/elsewhere", "-Wl,--enable-new-dtags"];
    shared("shuts", "int f(void);\nint g(void) { return f(); }\n", &elsewhere);
    let flags = ["-lshuts", "-Wl,-rpath,/opt/inherited", "-Wl,--disable-new-dtags", "-Wl,--allow-shlib-undefined"];
    world.compile("/t/inherits-shut", outer, &[&[at, "-Wl,--no-as-needed"][..], &flags].concat());
    for library in ["libshut.so", "libshuts.so"] {
        world.write(&format!("/opt/inherited/{library}"), world.read(&format!("/build/{library}")), 0o644);
    }
}

fn versions(world: &World, function: &str, at: &str, caller: &str) {
    let build = |version: &str| {
        world.write("/src/map", format!("{version} {{ global: f; }};\n"), 0o644);
        let map = world.flag("-Wl,--version-script=", "/src/map");
        world.compile("/build/libversion.so", function, &["-shared", "-fPIC", &map, "-Wl,-soname,libversion.so"]);
    };
    build("V_1.10");
    world.compile("/t/needs-version", caller, &[at, "-lversion"]);
    build("V_1.9");
    world.compile("/t/has-version", caller, &[at, "-lversion"]);
    world.write("/opt/named/libversion.so", world.read("/build/libversion.so"), 0o644);
    let mut newer = world.read("/t/dynamic");
    assert!(replace(&mut newer, b"GLIBC_2.34\0", b"GLIBC_9.99\0") > 0, "the program needs GLIBC_2.34");
    replace(&mut newer, &version_hash("GLIBC_2.34"), &version_hash("GLIBC_9.99"));
    world.write("/t/needs-glibc", &newer, 0o755);
    // As Nix builds programs: the loader in the store, and the libraries by RUNPATH.
    let store = "/nix/store/00000000000000000000000000000000-glibc-2.36/lib";
    let loader = format!("-Wl,--dynamic-linker={store}/ld-linux-x86-64.so.2");
    world.compile("/t/nix", HELLO, &[&loader, &format!("-Wl,-rpath,{store}")]);
    world.compile(
        "/t/nix-collected",
        HELLO,
        &["-Wl,--dynamic-linker=/nix/store/11111111111111111111111111111111-glibc/lib/ld.so"],
    );
    world.take("/lib64/ld-linux-x86-64.so.2", &format!("{store}/ld-linux-x86-64.so.2"));
    let libc = Command::new("gcc").arg("-print-file-name=libc.so.6").output().expect("gcc").stdout;
    let libc = std::fs::read(String::from_utf8_lossy(&libc).trim()).expect("libc.so.6");
    world.write(&format!("{store}/libc.so.6"), libc, 0o755);
}

fn full_root(directory: tempfile::TempDir) -> World {
    let world = World { directory };
    std::fs::set_permissions(world.directory.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    std::fs::create_dir_all(world.path("/noexec")).expect("mkdir");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "noexec", "tmpfs"]).arg(world.path("/noexec")).status();
    assert!(mounted.expect("mount").success(), "a tmpfs can be mounted");
    // The loader finds $ORIGIN through /proc/self/exe.
    std::fs::create_dir_all(world.path("/proc")).expect("mkdir");
    let mounted = Command::new("mount").args(["-t", "proc", "proc"]).arg(world.path("/proc")).status();
    assert!(mounted.expect("mount").success(), "procfs can be mounted");
    let busybox =
        std::fs::read("/usr/bin/busybox").or_else(|_| std::fs::read("/bin/busybox")).expect("a static busybox");
    world.write("/bin/sh", &busybox, 0o755);
    world.write("/bin/echo", &busybox, 0o755);
    world.take("/usr/bin/env", "/usr/bin/env");
    world.take("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2");
    world.write("/noexec/loader", std::fs::read("/lib64/ld-linux-x86-64.so.2").expect("a loader"), 0o755);
    binaries(&world);
    scripts(&world);
    libraries(&world);
    let status = Command::new("ldconfig").arg("-r").arg(world.directory.path()).status();
    assert!(status.expect("ldconfig").success());
    world
}

/// A root with a shell and no loader at all, and the same programs.
fn bare_root(full: &World) -> World {
    let world = World { directory: tempfile::tempdir().expect("a temporary directory") };
    std::fs::set_permissions(world.directory.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    world.write("/bin/sh", full.read("/bin/sh"), 0o755);
    for name in ["static", "static-pie", "dynamic", "nix", "script", "env-found"] {
        world.write(&format!("/t/{name}"), full.read(&format!("/t/{name}")), 0o755);
    }
    world
}

/// Every entry of the directories on PATH that tests are put in.
fn cases(world: &World) -> BTreeMap<String, String> {
    let mut cases = BTreeMap::new();
    for directory in ["/noexec", "/t"] {
        let Ok(entries) = std::fs::read_dir(world.path(directory)) else { continue };
        for entry in entries {
            let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
            cases.insert(name.clone(), format!("{directory}/{name}"));
        }
    }
    cases
}

/// Compares all cases of a root; returns how many were decided and what differs.
fn compare(world: &World, execute: &Path, uid: u32, unsure: &[&str]) -> (usize, Vec<String>) {
    let cases = cases(world);
    let seen = world.look(uid, &cases.keys().cloned().collect::<Vec<_>>());
    let found = seen.found.present().expect("PATH is known");
    let (mut decided, mut wrong) = (0, Vec::new());
    for (name, path) in &cases {
        let oracle = world.start(execute, uid, path);
        let tool = found.items.iter().find(|tool| tool.name == *name);
        let said = match tool.map(|tool| (&tool.startable, &tool.obstacle)) {
            // PATH leads to no such file: a directory, a link to nowhere.
            None => Ok(false),
            Some((Fact::Present(startable), _)) => Ok(*startable),
            Some((other, _)) => Err(format!("{other:?}")),
        };
        match said {
            Ok(said) if said == oracle.started => decided += 1,
            Err(_) if unsure.contains(&name.as_str()) => {}
            said => {
                let obstacle = tool.map(|tool| tool.obstacle.clone());
                wrong.push(format!("uid {uid} {path}: {said:?} {obstacle:?}, but really: {}", oracle.said));
            }
        }
        if let Some(tool) = tool {
            let claims = tool.startable == Fact::Present(false);
            assert_eq!(claims, tool.obstacle.present().is_some(), "{name}: an obstacle stands where it can't start");
        }
    }
    (decided, wrong)
}

#[test]
fn can_start_is_what_execve_does() {
    if std::env::var_os(INNER).is_none() {
        let own = std::env::current_exe().expect("our own executable");
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(own)
            .args(["--exact", "can_start_is_what_execve_does", "--nocapture"])
            .env(INNER, "1")
            .status()
            .expect("unshare is part of util-linux");
        assert!(status.success(), "the comparison in a mount namespace of its own failed");
        return;
    }
    // Where the kernel has binfmt_misc and nobody mounted it, no foreign program could be decided.
    let handlers = Path::new("/proc/sys/fs/binfmt_misc");
    let mounted = !handlers.exists()
        || handlers.join("status").exists()
        || Command::new("mount")
            .args(["-t", "binfmt_misc", "binfmt_misc"])
            .arg(handlers)
            .status()
            .is_ok_and(|status| status.success());
    let foreign: &[&str] = if mounted { &[] } else { &["aarch64", "i386", "loader-foreign"] };

    let full = full_root(tempfile::tempdir().expect("a temporary directory"));
    let tools = tempfile::tempdir().expect("a temporary directory");
    let compiler = World { directory: tools };
    compiler.compile("/execute", EXECUTE, &["-static"]);
    let execute = compiler.path("/execute");

    let bare = bare_root(&full);
    // A program that a user may start and not read is one whose interpreter nobody but the kernel can see.
    let unreadable = [foreign, &["no-read"]].concat();
    let (mut decided, mut wrong) = (0, Vec::new());
    for (world, uid, unsure) in [(&full, 0, foreign), (&full, 1000, &unreadable), (&bare, 0, foreign)] {
        let (count, more) = compare(world, &execute, uid, unsure);
        decided += count;
        wrong.extend(more);
    }
    Command::new("umount").args([full.path("/noexec"), full.path("/proc")]).status().expect("umount");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), wrong.len() + decided, wrong.join("\n"));
    assert!(decided >= 100, "only {decided} cases were decided");
}
