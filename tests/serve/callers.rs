//! Who calls is known, or the call is refused. Each on both ways of knowing: the kernel's pidfd, and the proof for older kernels.

use std::process::Command;

use super::roles::{cast, wait};
use super::server::{PARALLAX, Server, command, said, wait_for};

/// The words that a server is started with, for each way of knowing its callers.
const WAYS: [&[&str]; 2] = [&[], &["--without-peer-pidfd"]];

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn a_caller_is_answered_on_both_ways_of_knowing_it_from_its_own_network_namespace_too() {
    for way in WAYS {
        let server = Server::start("answer_ms = 60000", way);
        let socket = server.socket.to_str().unwrap();
        let here = output(&mut cast("asking", &[socket]));
        assert!(!here.starts_with("403"), "{way:?}: {here}");
        let executable = std::env::current_exe().unwrap();
        let mut apart = Command::new("unshare");
        let apart = output(apart.arg("--net").arg(executable).args(["role:asking", socket]));
        assert!(!apart.starts_with("403"), "{way:?}: {apart}");
    }
}

pub fn a_caller_that_changed_its_uid_since_it_connected_is_refused() {
    for way in WAYS {
        let server = Server::start("", way);
        let said = output(&mut cast("changing", &[server.socket.to_str().unwrap()]));
        assert!(said.starts_with("403") && said.contains("uid 0") && said.contains("uid 65534"), "{way:?}: {said}");
    }
}

pub fn a_connection_that_outlives_its_process_is_refused() {
    for way in WAYS {
        let server = Server::start("", way);
        let sign = server.desk.path().join("sign");
        let words = [server.socket.to_str().unwrap(), sign.to_str().unwrap(), "300"];
        output(&mut cast("leaving", &words));
        std::fs::write(&sign, "").unwrap();
        let said = sign.with_extension("said");
        wait(&said);
        let said = std::fs::read_to_string(said).unwrap();
        assert!(said.starts_with("403") && said.contains("is no more"), "{way:?}: {said}");
    }
}

/// What a connection is answered whose process ended, and whose pid another process has.
fn reused(when: &str, way: &[&str]) -> String {
    let desk = tempfile::tempdir().unwrap();
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(std::env::current_exe().unwrap());
    output(apart.arg("role:reusing").arg(desk.path()).arg(when).args(way))
}

pub fn a_process_that_got_the_pid_of_the_one_that_connected_is_not_taken_for_it() {
    for way in WAYS {
        let said = reused("after", way);
        assert!(said.contains(" 403 ") && said.contains("is no more"), "{way:?}: {said}");
    }
}

pub fn a_process_that_got_the_pid_before_the_server_looked_is_not_taken_for_it() {
    let kernel = reused("before", WAYS[0]);
    assert!(kernel.contains(" 403 ") && kernel.contains("is no more"), "{kernel}");
    let proof = reused("before", WAYS[1]);
    assert!(proof.contains(" 403 ") && proof.contains("does not hold the other end"), "{proof}");
}

pub fn a_caller_that_passed_its_end_on_and_closed_it_can_not_be_proven() {
    let server = Server::start("", WAYS[1]);
    let sign = server.desk.path().join("sign");
    let said = output(&mut cast("closing", &[server.socket.to_str().unwrap(), sign.to_str().unwrap()]));
    assert!(said.starts_with("403") && said.contains("does not hold the other end"), "{said}");
}

pub fn a_caller_that_is_not_visible_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    let (inner, socket) = command(desk.path(), "", &[]);
    let mut apart = Command::new("unshare");
    apart.args(["--pid", "--fork", "--mount-proc", "--kill-child", PARALLAX]).args(inner.get_args());
    let mut server = apart.spawn().unwrap();
    wait_for(&socket);
    let refused = said(&socket, b"GET /v1/check HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((refused.status, refused.header("parallax-exit")), (403, Some("3")));
    assert!(refused.text().contains("not visible"), "{refused:?}");
}
