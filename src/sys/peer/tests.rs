//! Tests of what the kernel says of the other end of a connection.

use std::os::unix::net::{UnixListener, UnixStream};

use super::{credentials, holds, identity, inode, is_alive, other_end, pidfd_of};
use crate::sys::process::ProcessDirectory;

#[test]
fn the_other_end_of_a_connection_is_found_among_the_descriptors_of_its_holder() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = UnixListener::bind(directory.path().join("socket")).expect("bind");
    let client = UnixStream::connect(directory.path().join("socket")).expect("connect");
    let (accepted, _) = listener.accept().expect("accept");
    let own = ProcessDirectory::open(std::process::id()).expect("our own directory");
    assert_eq!(credentials(&accepted).expect("credentials").pid, std::process::id());
    let peer = other_end(inode(&accepted).expect("inode"), &own).expect("unix_diag");
    assert_eq!(peer, inode(&client).expect("inode"));
    assert_eq!(holds(&own, peer), Ok(Some(true)));
    drop(client);
    assert_eq!(holds(&own, peer), Ok(Some(false)));
    assert!(other_end(inode(&accepted).expect("inode"), &own).is_err());
}

#[test]
fn a_process_is_alive_until_it_ends() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
    let pidfd = pidfd_of(child.id()).expect("a pidfd");
    assert!(is_alive(std::os::fd::AsFd::as_fd(&pidfd)));
    let process = ProcessDirectory::open(child.id()).expect("its directory");
    assert_eq!(identity(&process).expect("its identity").uid, rustix::process::geteuid().as_raw());
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert!(!is_alive(std::os::fd::AsFd::as_fd(&pidfd)));
    assert!(identity(&process).is_err());
}
