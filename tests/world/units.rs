//! The systemd units of `docs/templates`, under a real systemd: it is the first process of a container that has this machine's `/usr` and
//! nothing else of it. The sandbox that the units ask for is the one that systemd makes there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::engine::{Container, import};
use crate::image::SYSTEMD;

const NAME: &str = "parallax-world-systemd";
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates/systemd");
/// What systemd needs of a container to sandbox its services. Nothing of this machine but `/usr` is in it.
const RIGHTS: [&str; 10] = [
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=DAC_READ_SEARCH",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--env=container=docker",
    "--tmpfs=/run:exec,size=512m",
    "--tmpfs=/tmp",
    "-v",
    "/usr:/usr:ro",
];

/// A root directory with `/etc` of its own, the units, and links into `/usr`.
fn image(local: &Path) {
    let tree = tempfile::tempdir().expect("a directory");
    let system = tree.path().join("etc/systemd/system");
    for directory in ["proc", "sys", "dev", "run", "tmp", "var/lib", "var/log", "root", "usr"] {
        std::fs::create_dir_all(tree.path().join(directory)).expect("mkdir");
    }
    std::fs::create_dir_all(&system).expect("mkdir");
    for name in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), tree.path().join(name)).expect("a link");
    }
    let write = |name: &str, text: &str| std::fs::write(tree.path().join(name), text).expect("a file");
    write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    write("etc/group", "root:x:0:\n");
    write("etc/machine-id", "");
    write(
        "etc/systemd/system/world.target",
        "[Unit]\nRequires=sockets.target\nAfter=sockets.target\nAllowIsolate=yes\n",
    );
    for unit in std::fs::read_dir(UNITS).expect("the units").flatten() {
        std::fs::copy(unit.path(), system.join(unit.file_name())).expect("a unit");
    }
    import(tree.path(), SYSTEMD).expect("an image");
    std::fs::create_dir_all(local.join("bin")).expect("mkdir");
    // As it is installed: without the names of its functions, which are most of it and would fill a small /run.
    let mut installed = Command::new("strip");
    installed.arg("-o").arg(local.join("bin/parallax")).arg(env!("CARGO_BIN_EXE_parallax"));
    assert!(installed.status().expect("strip runs").success());
}

fn boot(local: &Path) -> Container {
    let local = format!("{}:/usr/local:ro", local.display());
    // Of the second version, systemd must be able to make groups; of the first, it mounts its own.
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let groups = format!("/sys/fs/cgroup:/sys/fs/cgroup:{}", if unified { "rw" } else { "ro" });
    let space = if unified { "--cgroupns=host" } else { "--cgroupns=private" };
    let mut options = RIGHTS.to_vec();
    options.extend(["-v", local.as_str(), "-v", groups.as_str(), space]);
    let container = Container::run(NAME, &options, SYSTEMD, &["/lib/systemd/systemd", "--unit=world.target"]);
    let begun = Instant::now();
    while container.exec(&["systemctl", "is-active", "world.target"]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "systemd comes up");
        std::thread::sleep(Duration::from_millis(100));
    }
    container
}

pub fn the_units_of_the_templates_serve_and_publish_under_a_real_systemd() {
    let local = tempfile::tempdir().expect("a directory");
    image(local.path());
    let container = boot(local.path());
    let exec = |command: &[&str]| container.exec(command).unwrap_or_else(|error| panic!("{error}"));
    exec(&["systemctl", "enable", "parallax.service", "parallax-publish.timer"]);
    exec(&["systemctl", "start", "parallax.socket", "parallax-publish.timer"]);
    assert!(container.exec(&["systemctl", "is-active", "parallax.service"]).is_err(), "not before somebody asks");
    let url = "http://localhost/v1/check?format=json";
    let ask = ["curl", "-sS", "--max-time", "60", "--unix-socket", "/run/parallax/parallax.sock", url];
    let answer: serde_json::Value = serde_json::from_str(&exec(&ask)).expect("JSON");
    // In a sandbox that hid or refused something, rows would be unknown.
    assert_eq!(answer["summary"]["outcomes"]["unknown"].as_u64().unwrap_or(0), 0, "{answer:#}");
    assert!(answer["summary"]["comparisons"].as_u64() > Some(10), "{answer:#}");
    assert_eq!(exec(&["systemctl", "is-active", "parallax.service"]), "active");
    exec(&["/run/parallax/parallax", "--version"]);
    exec(&["systemctl", "start", "parallax-publish.service"]);
    assert!(exec(&["ls", "/run/parallax/snapshots"]).contains("host.snapshot.json"));
    exec(&["systemctl", "stop", "parallax.service"]);
    assert_eq!(exec(&["systemctl", "show", "--property=Result", "parallax.service"]), "Result=success");
    // The directory that jobs have mounted is still the same, and the next question is answered.
    serde_json::from_str::<serde_json::Value>(&exec(&ask)).expect("JSON");
}

pub fn systemd_finds_nothing_wrong_with_the_units_of_the_templates() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut paths = Vec::new();
    for unit in std::fs::read_dir(UNITS).expect("the units").flatten() {
        let text = std::fs::read_to_string(unit.path()).expect("a unit");
        let path = directory.path().join(unit.file_name());
        let text = text.replace("/usr/local/bin/parallax", env!("CARGO_BIN_EXE_parallax"));
        std::fs::write(&path, text).expect("a unit");
        paths.push(path);
    }
    assert!(paths.len() >= 5, "{paths:?}");
    let output = Command::new("systemd-analyze").arg("verify").args(&paths).output().expect("systemd-analyze");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}");
}
