//! `parallax check` and a host's server: what it makes of an answer, and of everything that is none.
//!
//! The host is played by a few bytes on a real socket, because no server of ours would say such things; the findings that it says are what
//! `parallax compare` comes to over recorded snapshots.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::PARALLAX;

/// A job's directory, and the socket of its host.
struct Job {
    desk: tempfile::TempDir,
    socket: PathBuf,
}

/// What a host says on one connection.
type Said = Box<dyn FnOnce(&mut UnixStream) + Send>;

/// What `check` came to.
struct Ended {
    code: Option<i32>,
    report: Value,
}

impl Ended {
    fn list(&self, key: &str) -> Vec<String> {
        let all = self.report[key].as_array().expect("a list");
        all.iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
    }

    fn says(&self, what: &str) {
        let notes = self.list("notes");
        assert!(notes.iter().any(|note| note.contains(what)), "{what:?} is not in {notes:#?}");
    }

    /// Not determined, because the host gave nothing.
    fn is_undetermined(&self, why: &str) {
        assert_eq!(self.code, Some(3), "{}", self.report);
        assert_eq!(self.list("missing"), ["host"]);
        self.says(why);
    }
}

impl Job {
    fn new() -> Self {
        let desk = tempfile::tempdir().unwrap();
        let socket = desk.path().join("host.sock");
        Self { desk, socket }
    }

    fn check(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(PARALLAX);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.desk.path()).current_dir(self.desk.path());
        command.args(["check", "--offline", "--format", "json", "--socket"]).arg(&self.socket).args(words);
        let output = command.output().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Ended { code: output.status.code(), report }
    }

    /// Plays the host: each connection is answered by the next of these. Gives the bodies that came.
    fn host(&self, answers: Vec<Said>) -> Receiver<Vec<u8>> {
        let listener = UnixListener::bind(&self.socket).unwrap();
        let (told, bodies) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = told.send(body(&stream));
                answer(&mut stream);
            }
        });
        bodies
    }
}

/// The body of a request.
fn body(stream: &UnixStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

fn answer(bytes: impl Into<Vec<u8>>) -> Said {
    let bytes = bytes.into();
    Box::new(move |stream| drop(stream.write_all(&bytes)))
}

fn ok(document: &[u8]) -> Said {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", document.len());
    answer([head.as_bytes(), document].concat())
}

fn fixture(world: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(world)
}

/// The findings of a recorded world.
fn findings(world: &str) -> Vec<u8> {
    compared(world).1
}

/// What comparing a recorded world comes to, and its findings.
fn compared(world: &str) -> (Option<i32>, Vec<u8>) {
    let mut command = Command::new(PARALLAX);
    command.env_clear().current_dir("/").args(["compare", "--format", "json"]).arg(fixture(world));
    let output = command.output().unwrap();
    (output.status.code(), output.stdout)
}

fn outcomes(report: &Value) -> Vec<(String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    let all = report["findings"].as_array().expect("findings").iter();
    all.map(|finding| (text(finding, "check"), text(finding, "subject"), text(finding, "outcome"))).collect()
}

pub fn a_server_that_is_gone_makes_the_run_undetermined_and_is_named() {
    let job = Job::new();
    drop(UnixListener::bind(&job.socket).unwrap());
    job.check(&[]).is_undetermined("can't be reached");
    std::fs::remove_file(&job.socket).unwrap();
    let ended = job.check(&[]);
    ended.is_undetermined("can't be reached");
    ended.says("host.sock");
}

pub fn a_server_that_is_gone_is_said_and_the_views_that_were_named_are_used() {
    let job = Job::new();
    let view = fixture("healthy-host").join("service-nix-daemon.json");
    let ended = job.check(&["--view", view.to_str().unwrap(), "--max-age", "1"]);
    ended.says("can't be reached");
    // A recording is too old, and that is said.
    ended.says("the view of service:nix-daemon was refused");
    assert!(!ended.list("missing").contains(&"host".to_owned()));
}

pub fn what_is_no_findings_document_is_never_taken_for_coherence() {
    let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let mut lying: Value = serde_json::from_slice(&findings("two-keys-broken")).unwrap();
    lying["summary"]["verdict"] = "coherent".into();
    let mut newer: Value = serde_json::from_slice(&findings("healthy-host")).unwrap();
    newer["schema"] = "parallax.findings/2".into();
    for (answers, why) in [
        (answer("SSH-2.0-OpenSSH_9.2\r\n"), "no HTTP"),
        (answer(""), "broke off"),
        (answer(empty), "can't be read"),
        (ok(b"{\"verdict\": \"coherent\"}"), "can't be read"),
        (ok(&serde_json::to_vec(&lying).unwrap()), "can't be read"),
        (ok(&serde_json::to_vec(&newer).unwrap()), "parallax.findings/2"),
        (answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\nnot for you\x1b[2J"), "status 403: not for you"),
        (answer("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"), "status 302"),
    ] {
        let job = Job::new();
        job.host(vec![answers]);
        let ended = job.check(&[]);
        ended.is_undetermined(why);
        assert!(ended.list("notes").iter().all(|note| !note.contains('\x1b')));
    }
}

pub fn an_answer_without_end_is_not_read_without_end() {
    let job = Job::new();
    let (told, written) = channel();
    job.host(vec![Box::new(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let mut count = 0_u64;
        while stream.write_all(&[b'['; 1 << 16]).is_ok() {
            count += 1 << 16;
        }
        told.send(count).unwrap();
    })]);
    job.check(&[]).is_undetermined("longer than");
    let written = written.recv_timeout(Duration::from_secs(10)).expect("the reader went away");
    assert!(written < 80 << 20, "{written} bytes were taken");
}

pub fn a_server_that_has_no_time_is_asked_again_when_it_said() {
    let job = Job::new();
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy";
    job.host(vec![answer(busy), ok(&findings("healthy-host"))]);
    assert_eq!(job.check(&["--allow-unknown"]).code, Some(0));
    let impatient = Job::new();
    impatient.host(vec![answer(busy.replace(": 1\r", ": 3600\r"))]);
    impatient.check(&[]).is_undetermined("status 503: busy");
}

pub fn a_server_that_says_nothing_is_waited_for_until_the_deadline() {
    let job = Job::new();
    job.host(vec![Box::new(|_| std::thread::sleep(Duration::from_secs(60)))]);
    let begun = Instant::now();
    job.check(&["--deadline", "6"]).is_undetermined("did not answer in time");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

pub fn the_hosts_findings_are_rendered_here_and_come_to_the_same_exit_code() {
    for world in ["two-keys-broken", "two-keys-repaired", "healthy-host"] {
        let (code, document) = compared(world);
        let host: Value = serde_json::from_slice(&document).unwrap();
        let job = Job::new();
        job.host(vec![ok(&document)]);
        let junit = job.desk.path().join("parallax.xml");
        let ended = job.check(&["--output", &format!("junit={}", junit.display())]);
        assert_eq!(ended.code, code, "{world}");
        assert_eq!(outcomes(&ended.report), outcomes(&host), "{world}");
        assert_eq!(ended.report["command"], "check");
        ended.says("compared by the host's server");
        let xml = std::fs::read_to_string(junit).unwrap();
        let failures = roxmltree::Document::parse(&xml)
            .expect("XML")
            .descendants()
            .filter(|node| node.has_tag_name("failure"))
            .count();
        assert_eq!(failures > 0, code == Some(1), "{world}");
        assert_eq!(code == Some(1), world == "two-keys-broken");
    }
}

pub fn what_the_project_waives_is_shown_as_waived_by_the_project() {
    let job = Job::new();
    let waiver =
        "[[waive]]\ncheck = \"credentials/same-account\"\nreason = \"two accounts are meant\"\nuntil = 2999-01-01\n";
    std::fs::write(job.desk.path().join("parallax.toml"), waiver).unwrap();
    job.host(vec![ok(&findings("two-keys-broken"))]);
    let ended = job.check(&[]);
    assert_ne!(ended.code, Some(1), "{}", ended.report);
    let waived: Vec<&Value> = ended.report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "credentials/same-account" && finding["outcome"] == "waived")
        .collect();
    assert!(!waived.is_empty());
    for finding in waived {
        assert!(finding["waiver"]["by"].as_str().unwrap().ends_with("(project)"), "{finding}");
    }
}

pub fn a_view_that_is_required_here_and_was_not_seen_there_is_missing() {
    let job = Job::new();
    job.host(vec![ok(&findings("healthy-host")), ok(&findings("healthy-host"))]);
    let missing = job.check(&["--allow-unknown", "--require", "service:frobnicator"]);
    assert_eq!((missing.code, missing.list("missing")), (Some(3), vec!["service:frobnicator".to_owned()]));
    let seen = job.check(&["--allow-unknown", "--require", "service:nix-daemon"]);
    assert_eq!((seen.code, seen.list("missing")), (Some(0), Vec::new()));
}

pub fn no_fingerprint_is_sent() {
    let job = Job::new();
    std::fs::create_dir(job.desk.path().join(".aws")).unwrap();
    let profile = "[default]\naws_access_key_id = AKIAIOSFODNN7CANARYX\naws_secret_access_key = canary/secret/that/must/not/leave0000\n";
    std::fs::write(job.desk.path().join(".aws/credentials"), profile).unwrap();
    let bodies = job.host(vec![ok(&findings("healthy-host"))]);
    job.check(&[]);
    let sent = String::from_utf8(bodies.recv_timeout(Duration::from_secs(10)).unwrap()).unwrap();
    let document: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(document["schema"], "parallax.snapshot/1");
    assert!(sent.contains("AKIAIOSFODNN7CANARYX"), "the key was not seen at all");
    assert!(!sent.contains("canary/secret"));
    for (path, reason) in document["unobserved"].as_object().unwrap() {
        if path.ends_with(".fingerprint") {
            assert_eq!(reason["reason"], "withheld", "{path}");
        }
    }
    let keys = document["facts"]["credentials"]["s3"].to_string();
    assert!(!keys.contains("\"fingerprint\":\""), "{keys}");
}

pub fn while_the_server_answers_the_directory_is_not_read() {
    let job = Job::new();
    let views = job.desk.path().join("views");
    std::fs::create_dir(&views).unwrap();
    std::fs::write(views.join("host.snapshot.json"), "no snapshot").unwrap();
    job.host(vec![ok(&findings("healthy-host"))]);
    assert_eq!(job.check(&["--allow-unknown", "--views", views.to_str().unwrap()]).code, Some(0));
    // Without the server it is read, and what is wrong with it is a mistake of usage.
    let ended = job.check(&["--views", views.to_str().unwrap(), "--deadline", "5"]);
    assert_eq!(ended.code, Some(2));
}
