//! Ten thousand clients at once, in a process of their own, and an honest one who asks all the while.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::roles::cast;
use super::server::Server;

const MANY: usize = 10_000;
/// The longest that an honest one may wait, on a machine that does other things too.
const WAIT: Duration = Duration::from_secs(10);
/// What a server may take of memory meanwhile, in KiB.
const MEMORY: u64 = 200 << 10;

/// Comes with many connections, says so, and keeps on until its stdin ends.
pub fn come(socket: &Path, many: usize, behaviour: &str) {
    assert!(
        parallax::sys::descriptors::raise_limit() > many + 100,
        "too few open files are allowed for {many} clients"
    );
    let mut all = Vec::new();
    for number in 0..many {
        let mut stream = UnixStream::connect(socket).unwrap();
        // Whoever was dropped already can't say any more.
        let _ = match (behaviour, number % 3) {
            ("lie", 0) => stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ("lie", 1) => stream.write_all(&[b'A'; 32 << 10]),
            ("lie", _) => stream.write_all(
                b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\nnot that much",
            ),
            ("leave", 0) => continue,
            ("leave", _) => stream
                .write_all(b"GET /v1/version HTTP/1.1\r\n")
                .map(|()| drop(stream.shutdown(std::net::Shutdown::Both))),
            ("drip", _) => stream.write_all(b"G"),
            _ => Ok(()),
        };
        if behaviour != "leave" {
            stream.set_nonblocking(true).unwrap();
            all.push(stream);
        }
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "there").unwrap();
    if behaviour == "drip" {
        std::thread::spawn(move || {
            loop {
                for stream in &mut all {
                    let _ = stream.write(b"E");
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    } else {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(all);
    }
}

/// A crowd that goes with the test.
struct Crowd(Child);

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn withstood(behaviour: &str) {
    let server = Server::start("requests_per_minute = 100000\nanswer_ms = 60000", &[]);
    let words = [server.socket.to_str().unwrap(), &MANY.to_string(), behaviour];
    let mut crowd = cast("crowd", &words);
    let mut crowd = Crowd(crowd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(crowd.0.stdout.take().unwrap());
    let there = std::thread::spawn(move || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        line
    });
    let (mut asked, mut longest) = (0, Duration::ZERO);
    let mut honest = || {
        let begun = Instant::now();
        let answered = server.get("/v1/version");
        assert_eq!(answered.status, 200);
        longest = longest.max(begun.elapsed());
        asked += 1;
        std::thread::sleep(Duration::from_millis(10));
    };
    while !there.is_finished() {
        honest();
    }
    assert_eq!(there.join().unwrap().trim(), "there");
    (0..50).for_each(|_| honest());
    assert!(longest < WAIT, "an honest one waited {longest:?} among {MANY} who {behaviour}");
    assert!(asked > 50, "the honest one asked only {asked} times");
    // What must be known of the caller, and made for it, is made too.
    assert!(!matches!(server.get("/v1/check?format=json").status, 403 | 408 | 413 | 429 | 503 | 504));
    let memory = server.memory();
    assert!(memory < MEMORY, "{memory} KiB");
}

pub fn ten_thousand_who_say_nothing_do_not_stop_the_next_honest_one() {
    withstood("say nothing");
}

pub fn ten_thousand_who_lie_do_not_stop_the_next_honest_one() {
    withstood("lie");
}

pub fn ten_thousand_who_drip_do_not_stop_the_next_honest_one() {
    withstood("drip");
}

pub fn ten_thousand_who_leave_do_not_stop_the_next_honest_one() {
    withstood("leave");
}
