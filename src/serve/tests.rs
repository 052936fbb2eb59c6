//! Tests of a server that runs in this process: answers that are large, slow or fail, and readers that do not read.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep};

use super::{Answer, Answering, Asked, Caller, Limits, serve};

/// Answers with as many bytes as are asked for; is slow, or fails, when told to.
struct Told;

impl Answering for Told {
    async fn answer(&self, caller: &Caller, asked: Asked, _deadline: Instant) -> Answer {
        assert_eq!(caller.pid, std::process::id());
        let value = |key: &str| asked.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        assert!(value("fail").is_none(), "whether to fail is the server's business");
        assert!(value("break").is_none(), "told to fail");
        if let Some(ms) = value("sleep") {
            sleep(Duration::from_millis(ms.parse().expect("milliseconds"))).await;
        }
        let bytes = value("bytes").map_or(2, |bytes| bytes.parse().expect("a number"));
        let exit = value("exit").map(|exit| exit.parse().expect("a code"));
        Answer { status: 200, content_type: "text/plain", exit, body: vec![b'x'; bytes] }
    }
}

/// A server with these bounds, and its socket.
async fn started(limits: Limits) -> (tempfile::TempDir, std::path::PathBuf) {
    let desk = tempfile::tempdir().expect("a directory");
    let path = desk.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bind");
    tokio::spawn(serve(listener, limits, Arc::new(Told), std::future::pending()));
    (desk, path)
}

async fn asked(socket: &std::path::Path, query: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.expect("connect");
    let request = format!("GET /v1/check?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("ask");
    stream
}

async fn told(socket: &std::path::Path, query: &str) -> String {
    let mut stream = asked(socket, query).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    String::from_utf8(bytes).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_dropped_and_holds_nobody_up() {
    let limits = Limits { read_time: Duration::from_millis(500), ..Limits::default() };
    let (_desk, socket) = started(limits).await;
    let mut slow = asked(&socket, "bytes=8000000").await;
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    assert!(told(&socket, "bytes=8000000").await.len() > 8_000_000, "another one's answer is whole");
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    sleep(Duration::from_secs(1)).await;
    let mut bytes = Vec::new();
    let _ = slow.read_to_end(&mut bytes).await;
    assert!(bytes.len() < 8_000_000, "what was not read in time is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_do_not_fill_the_memory() {
    let limits = Limits { memory: 64 << 20, requests_per_minute: 1000, ..Limits::default() };
    let (_desk, socket) = started(limits).await;
    let mut greedy = Vec::new();
    for _ in 0..8 {
        greedy.push(asked(&socket, "bytes=8000000").await);
        sleep(Duration::from_millis(50)).await;
    }
    let mut whole = 0;
    for mut stream in greedy {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        whole += usize::from(bytes.len() > 8_000_000);
    }
    // A class has a quarter: two of eight megabytes each.
    assert!((1..=2).contains(&whole), "{whole} of them were kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_or_fails_is_said_to_be_so() {
    let limits = Limits { answer_time: Duration::from_millis(300), ..Limits::default() };
    let (_desk, socket) = started(limits).await;
    let late = told(&socket, "sleep=60000").await;
    assert!(late.starts_with("HTTP/1.1 504 ") && late.contains("parallax-exit: 3\r\n"), "{late}");
    let broken = told(&socket, "break").await;
    assert!(broken.starts_with("HTTP/1.1 500 ") && broken.contains("parallax-exit: 70\r\n"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fail_the_status_says_what_the_exit_code_does() {
    let (_desk, socket) = started(Limits { requests_per_minute: 1000, ..Limits::default() }).await;
    for (exit, status) in [(0, 200), (1, 422), (2, 422), (3, 422), (4, 200), (70, 422)] {
        for fail in ["fail", "fail=1"] {
            let answer = told(&socket, &format!("exit={exit}&{fail}")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{exit}: {answer}");
            assert!(answer.contains(&format!("parallax-exit: {exit}\r\n")), "{answer}");
        }
        assert!(told(&socket, &format!("exit={exit}")).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_the_queue_full_is_told_to_come_again_and_the_others_are_answered() {
    let limits = Limits { answers: 1, waiting: 3, requests_per_minute: 1000, ..Limits::default() };
    let (_desk, socket) = started(limits).await;
    let first = asked(&socket, "sleep=500").await;
    sleep(Duration::from_millis(100)).await;
    // One class has a quarter of four turns.
    let second = told(&socket, "").await;
    assert!(second.starts_with("HTTP/1.1 503 ") && second.contains("retry-after: "), "{second}");
    let mut bytes = Vec::new();
    let mut first = first;
    first.read_to_end(&mut bytes).await.expect("an answer");
    assert!(bytes.starts_with(b"HTTP/1.1 200 "));
}
