//! The socket, its directory and the copy beside it: what is made, what is left alone, what goes with the server.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::roles::cast;
use super::server::{PARALLAX, Server, command, said, signal, wait_for};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Starts a server that is expected to refuse, and gives its exit code and what it said.
fn refused(desk: &Path) -> (Option<i32>, String) {
    let output = command(desk, "", &[]).0.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

pub fn the_socket_is_for_everybody_and_goes_with_its_server() {
    for way in [Signal::TERM, Signal::INT] {
        let mut server = Server::start("", &[]);
        let socket = server.socket.clone();
        assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o666, 0o755));
        signal(&server.child, way);
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        assert!(!socket.exists());
    }
}

pub fn a_socket_that_a_dead_server_left_is_replaced_and_a_living_ones_is_not() {
    let mut server = Server::start("", &[]);
    let (code, said) = refused(server.desk.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("another parallax serves in"), "{said}");
    assert_eq!(server.get("/").status, 200);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(server.socket.exists(), "a killed server can't tidy up");
    server.child = command(server.desk.path(), "", &[]).0.spawn().unwrap();
    let begun = std::time::Instant::now();
    while super::server::said(&server.socket, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.terminate().code(), Some(0));
    // A server of another kind is alive too.
    let foreign = UnixListener::bind(&server.socket).unwrap();
    let (code, said) = refused(server.desk.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("a server listens there already"), "{said}");
    drop(foreign);
}

pub fn what_is_no_socket_of_ours_is_left_alone() {
    let desk = tempfile::tempdir().unwrap();
    std::fs::create_dir(desk.path().join("run")).unwrap();
    let socket = desk.path().join("run/parallax.sock");
    std::fs::write(&socket, "precious").unwrap();
    let (code, said) = refused(desk.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("left alone"), "{said}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

pub fn a_directory_that_others_may_write_is_not_served_in() {
    let desk = tempfile::tempdir().unwrap();
    let directory = desk.path().join("run");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, said) = refused(desk.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("others may write it"), "{said}");
    assert!(!directory.join("parallax.sock").exists());
}

pub fn the_copy_beside_the_socket_is_this_executable_and_written_only_when_it_differs() {
    let desk = tempfile::tempdir().unwrap();
    let socket = desk.path().join("run/parallax.sock");
    let copy = desk.path().join("run/parallax");
    let serve = || {
        let mut command = Command::new(PARALLAX);
        let mut server =
            command.env_clear().current_dir("/").arg("serve").arg("--socket").arg(&socket).spawn().unwrap();
        wait_for(&socket);
        signal(&server, Signal::TERM);
        assert_eq!(server.wait().unwrap().code(), Some(0));
        let metadata = std::fs::metadata(&copy).unwrap();
        (metadata.ino(), metadata.permissions().mode() & 0o7777)
    };
    let (first, mode) = serve();
    assert_eq!(mode, 0o755);
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(PARALLAX).unwrap());
    assert!(Command::new(&copy).arg("--version").output().unwrap().status.success());
    assert_eq!(serve().0, first, "the same copy was written again");
    std::fs::remove_file(&copy).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &copy).unwrap();
    assert_ne!(serve().0, first);
    assert!(std::fs::symlink_metadata(&copy).unwrap().is_file(), "a link was written through, or left");
    let left: Vec<_> =
        std::fs::read_dir(desk.path().join("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["parallax"]);
}

pub fn a_socket_of_the_service_manager_is_served_on_and_left_and_readiness_is_told() {
    let desk = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(desk.path().join("notify.sock")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let socket = desk.path().join("given.sock");
    let words = [desk.path().to_str().unwrap(), socket.to_str().unwrap()];
    let mut server = cast("activated", &words).spawn().unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!(told().trim(), "READY=1");
    assert_eq!(said(&socket, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().status, 200);
    signal(&server, Signal::TERM);
    assert_eq!(told().trim(), "STOPPING=1");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    assert!(socket.exists(), "the service manager's socket is not ours to remove");
}
