//! Servers that answer, are silent, drip, never end, break off, or send elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{get, question};
use crate::probe::reach::ask::ask;
use crate::probe::reach::plan::{Expected, Inquiry, Question};
use crate::probe::reach::{TOTAL_LIMIT, ask_all};
use crate::snapshot::facts::Reached;
use crate::snapshot::{Fact, Reason};

/// A server that treats each connection in this way, and tells what was asked.
fn serve(treat: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a clone"));
            while lines.read_line(&mut head).is_ok_and(|count| count > 2) {}
            let _ = tell.send(head);
            treat(number, &mut stream);
        }
    });
    (port, asked)
}

fn answer(text: &'static str) -> impl Fn(usize, &mut TcpStream) {
    move |_, stream| {
        let _ = stream.write_all(text.as_bytes());
    }
}

/// Asks with a deadline, and says how long it took.
fn asked(question: Question, limit: Duration) -> (Reached, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("a runtime");
    let begun = Instant::now();
    let reached = runtime.block_on(async { ask(&question, tokio::time::Instant::now() + limit).await });
    (reached, begun.elapsed())
}

fn plain(port: u16) -> Question {
    question("http://localhost", port, get("/nix-cache-info", Expected::NixCache))
}

const LIMIT: Duration = Duration::from_millis(1500);
const CACHE: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 21\r\n\r\nStoreDir: /nix/store\n";

#[test]
fn a_binary_cache_is_known_by_its_answer_and_is_told_nothing_but_the_question() {
    let (port, questions) = serve(answer(CACHE));
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!(reached.connected, Fact::Present(true));
    assert_eq!((reached.v4, reached.v6), (Fact::Present("connected".to_owned()), Fact::Absent));
    assert_eq!(reached.service.kind, Fact::Present("nix-cache".to_owned()));
    assert_eq!(reached.service.store_dir, Fact::Present("/nix/store".to_owned()));
    assert_eq!(reached.service.program, Fact::Present("nginx".to_owned()));
    assert_eq!(reached.tls.leaf, Fact::Absent);
    let head = questions.recv_timeout(LIMIT).expect("a question").to_ascii_lowercase();
    assert!(head.starts_with("get /nix-cache-info http/1.1\r\n"), "{head}");
    assert!(!head.contains("authorization") && !head.contains("cookie"), "{head}");
}

#[test]
fn two_registries_with_different_givers_of_tokens_are_two_services() {
    const ONE: &str = "HTTP/1.1 401 Unauthorized\r\nDocker-Distribution-Api-Version: registry/2.0\r\nWww-Authenticate: Bearer realm=\"https://one.example/token\",service=\"one\"\r\nContent-Length: 0\r\n\r\n";
    const TWO: &str = "HTTP/1.1 401 Unauthorized\r\nDocker-Distribution-Api-Version: registry/2.0\r\nWww-Authenticate: Bearer realm=\"https://two.example/token\",service=\"two\"\r\nContent-Length: 0\r\n\r\n";
    let identity = |text: &'static str| {
        let (port, _questions) = serve(answer(text));
        let (reached, _) = asked(question("http://localhost", port, get("/v2/", Expected::Registry)), LIMIT);
        assert_eq!(reached.service.kind, Fact::Present("registry".to_owned()));
        reached.service.identity
    };
    assert_eq!(identity(ONE), identity(ONE), "the same from wherever it is asked");
    assert_ne!(identity(ONE), identity(TWO));
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let (elsewhere, visited) = serve(answer(CACHE));
    let (port, _) = serve(move |_, stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        );
    });
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!(reached.service.status, Fact::Present(302));
    assert!(visited.recv_timeout(Duration::from_millis(200)).is_err());
}

#[test]
fn silence_costs_its_deadline_and_keeps_the_connection_that_stood() {
    let (port, _) = serve(|_, stream| {
        let _ = stream.read(&mut [0; 16]);
    });
    let (reached, took) = asked(plain(port), LIMIT);
    assert!(took < LIMIT + Duration::from_millis(300), "{took:?}");
    assert_eq!(reached.connected, Fact::Present(true));
    assert!(matches!(reached.service.kind, Fact::Unobserved(Reason::TimedOut { .. })), "{:?}", reached.service);
}

#[test]
fn headers_that_drip_or_never_end_are_bounded() {
    let (port, _) = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: y\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (reached, took) = asked(plain(port), LIMIT);
    assert!(took < LIMIT + Duration::from_millis(300), "{took:?}");
    assert!(matches!(reached.service.kind, Fact::Unobserved(Reason::TimedOut { .. })));
    let (port, _) = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream
            .write_all(b"X-Endless: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
            .is_ok()
        {}
    });
    let (reached, took) = asked(plain(port), LIMIT);
    assert!(took < LIMIT, "{took:?}");
    assert!(
        matches!(reached.service.kind, Fact::Unobserved(Reason::Truncated { .. })),
        "no answer is not an answer in another language: {:?}",
        reached.service.kind
    );
}

#[test]
fn of_a_body_without_end_the_beginning_is_read() {
    let (port, _) = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nStoreDir: /nix/store\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let (reached, took) = asked(plain(port), LIMIT);
    assert!(took < LIMIT, "{took:?}");
    assert_eq!(reached.service.kind, Fact::Present("nix-cache".to_owned()));
}

#[test]
fn a_connection_that_breaks_off_once_is_asked_again_and_both_are_kept() {
    let (port, questions) = serve(|number, stream| {
        if number > 0 {
            let _ = stream.write_all(CACHE.as_bytes());
        }
    });
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!(reached.service.kind, Fact::Present("nix-cache".to_owned()));
    assert_eq!(reached.failures.present().map(Vec::len), Some(1), "{:?}", reached.failures);
    assert_eq!(questions.try_iter().count(), 2);
}

#[test]
fn what_breaks_off_twice_or_speaks_another_language_speaks_no_http() {
    let (port, _) = serve(|_, _| {});
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!((reached.connected, reached.service.kind), (Fact::Present(true), Fact::Absent));
    let (port, _) = serve(answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"));
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!((reached.connected, reached.service.kind), (Fact::Present(true), Fact::Absent));
}

#[test]
fn a_closed_port_is_refused_and_a_name_without_addresses_is_not_connected_at_all() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let (reached, _) = asked(plain(port), LIMIT);
    assert_eq!((reached.connected, reached.v4), (Fact::Present(false), Fact::Present("refused".to_owned())));
    assert_eq!(reached.failures, Fact::Present(vec!["127.0.0.1: ECONNREFUSED".to_owned()]));
    assert_eq!(reached.service.kind, Fact::Absent);
    let nowhere = Question { addresses: Vec::new(), ..plain(port) };
    assert_eq!(asked(nowhere, LIMIT).0.connected, Fact::Absent);
    let reason = Reason::NotEmulated { what: "a module".into() };
    let open = Question { more: Some(reason.clone()), ..plain(port) };
    let (reached, _) = asked(open, LIMIT);
    assert_eq!(reached.connected, Fact::Unobserved(reason), "another address might have answered");
    assert_eq!(reached.v4, Fact::Present("refused".to_owned()));
}

#[test]
fn each_family_is_told_apart() {
    let (port, _) = serve(answer(CACHE));
    let both =
        Question { addresses: vec!["127.0.0.1".parse().expect("v4"), "::1".parse().expect("v6")], ..plain(port) };
    let (reached, _) = asked(both, LIMIT);
    assert_eq!(reached.v4, Fact::Present("connected".to_owned()));
    assert_eq!(reached.v6, Fact::Present("refused".to_owned()));
    assert_eq!(reached.peer, Fact::Present("127.0.0.1".to_owned()));
}

#[test]
fn a_clock_is_told_by_its_date_and_a_stored_answer_by_its_age_too() {
    let ahead = |headers: String| {
        let (port, _) = serve(move |_, stream| {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
        });
        asked(plain(port), LIMIT).0.clock_ahead_ms
    };
    let date = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).expect("a date")
    };
    assert_eq!(ahead(String::new()), Fact::Absent);
    assert_eq!(ahead(format!("Date: {}\r\n", date(0))), Fact::Present(0));
    assert_eq!(ahead(format!("Date: {}\r\nAge: 900\r\n", date(-900))), Fact::Present(0));
    let Fact::Present(behind) = ahead(format!("Date: {}\r\n", date(-900))) else { panic!("a clock") };
    assert!((-902_000..=-899_000).contains(&behind), "{behind}");
}

#[test]
fn a_proxy_is_asked_for_plain_pages_and_its_refusal_of_a_tunnel_is_told() {
    let (port, questions) = serve(answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
    let proxy = Fact::Present(crate::formats::endpoint_url::EndpointUrl::parse(&format!("http://127.0.0.1:{port}")));
    let through = |url: &str| Question {
        host: "cache.example".to_owned(),
        addresses: Vec::new(),
        proxy: proxy.clone(),
        proxy_addresses: vec!["127.0.0.1".parse().expect("v4")],
        ..question(url, 80, get("/", Expected::Http))
    };
    let (reached, _) = asked(through("http://cache.example"), LIMIT);
    assert_eq!((reached.connected, reached.peer), (Fact::Present(true), Fact::Absent));
    assert!(questions.recv().expect("asked").starts_with("GET http://cache.example/ HTTP/1.1\r\n"));
    let (reached, _) = asked(through("https://cache.example"), LIMIT);
    assert_eq!(reached.connected, Fact::Present(false));
    assert!(reached.failures.present().expect("failures")[0].contains("403"), "{:?}", reached.failures);
    assert!(questions.recv().expect("asked").starts_with("CONNECT cache.example:80 HTTP/1.1\r\n"));
}

#[test]
fn what_is_only_connected_to_is_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (reached, _) = asked(question("tcp://localhost", port, Inquiry::Nothing), LIMIT);
    assert_eq!((reached.connected, reached.service.kind), (Fact::Present(true), Fact::Absent));
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("its end");
    assert!(said.is_empty());
}

#[test]
fn many_that_never_answer_take_no_longer_than_one() {
    let (port, _) = serve(|_, stream| {
        let _ = stream.read(&mut [0; 16]);
    });
    // The listener takes connections from its queue one by one, each until its asker gives up.
    let mut questions: Vec<Question> = (0..60).map(|_| plain(port)).collect();
    let (answers, _) = serve(answer(CACHE));
    questions.extend((0..60).map(|_| plain(answers)));
    let begun = Instant::now();
    let reached = ask_all(questions, TOTAL_LIMIT);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(reached.len(), 120);
    let cache = |one: &&Reached| one.service.kind == Fact::Present("nix-cache".to_owned());
    assert_eq!(reached.iter().filter(cache).count(), 60);
}
