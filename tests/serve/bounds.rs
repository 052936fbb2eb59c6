//! What is beyond a bound is refused with the status that says so.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::server::{Server, answered};

pub fn what_is_asked_wrongly_is_refused_with_the_status_that_says_so() {
    let server = Server::start("", &[]);
    let help = server.get("/");
    assert_eq!(help.status, 200);
    assert!(help.text().contains("/v1/check") && help.text().lines().count() == 1, "{help:?}");
    assert_eq!(server.get("/v1/version").text().trim(), env!("CARGO_PKG_VERSION"));
    let nowhere = server.get("/v1/snapshots");
    assert_eq!((nowhere.status, nowhere.header("parallax-exit")), (404, Some("3")));
    let method = server.say(b"DELETE /v1/check HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((method.status, method.header("allow")), (405, Some("GET, POST")));
    let fail = server.get("/v1/check?fail=perhaps");
    assert_eq!((fail.status, fail.header("parallax-exit")), (400, Some("2")));
    assert_eq!(server.say(b"what?\r\n\r\n").status, 400);
    let headers = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert_eq!(server.say(headers.as_bytes()).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: x\r\n".repeat(100));
    assert_eq!(server.say(many.as_bytes()).status, 431);
}

pub fn a_body_beyond_the_bound_is_refused_and_a_broken_one_too() {
    let server = Server::start("body_bytes = 2048\nrequest_ms = 1500", &[]);
    let post = |length: usize, body: &[u8]| {
        let mut request =
            format!("POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        request.extend_from_slice(body);
        server.say(&request)
    };
    let announced = post(2049, b"");
    assert_eq!((announced.status, announced.header("parallax-exit")), (413, Some("3")), "{announced:?}");
    let mut chunked = b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'x'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(server.say(&chunked).status, 413);
    // More is promised than comes.
    let lie = post(1000, b"too little");
    assert_eq!(lie.status, 408, "{lie:?}");
    let no_snapshot = post(4, b"abcd");
    assert!(no_snapshot.status >= 400 && no_snapshot.header("parallax-exit") != Some("0"), "{no_snapshot:?}");
}

pub fn who_is_too_slow_to_ask_is_told_so_and_dropped() {
    let server = Server::start("request_ms = 1000", &[]);
    let begun = Instant::now();
    let mut silent = UnixStream::connect(&server.socket).unwrap();
    let mut dripping = UnixStream::connect(&server.socket).unwrap();
    let drip = std::thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".iter().cycle() {
            if dripping.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(answered(&mut silent).is_err());
    drip.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_millis(900));
    assert_eq!(server.get("/").status, 200);
}

pub fn who_asks_too_often_is_told_when_to_come_again() {
    let server = Server::start("requests_per_minute = 1\nanswer_ms = 20000", &[]);
    let ask = || server.get("/v1/check?format=table");
    assert_ne!(ask().status, 429);
    let again = ask();
    assert_eq!((again.status, again.header("parallax-exit")), (429, Some("3")), "{again:?}");
    let seconds: u64 = again.header("retry-after").expect("when").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // What costs nothing is not counted.
    assert_eq!(server.get("/").status, 200);
}
