//! Caches that refuse, are busy, or stand where no login may go: what is asked of them, and what their answers come to.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::Instant;

use super::fetch::{Reply, get};
use super::login::Login;
use super::paths::Candidates;
use super::serve::Asked;
use super::standing::Keys;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::reach::bundle::Roots;
use crate::probe::reach::plan::{Inquiry, Question};
use crate::snapshot::facts::ServedCache;
use crate::snapshot::{Fact, List, Reason};

/// A server that gives one status to whoever shows no login, and another one to whoever does; and what it was asked.
fn catcher(without: u16, with: u16) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a clone"));
            while lines.read_line(&mut head).is_ok_and(|count| count > 2) {}
            let status = if head.to_lowercase().contains("\nauthorization:") { with } else { without };
            let body = if status == 200 { "StoreDir: /nix/store\n" } else { "" };
            let _ = tell.send(head);
            let _ = write!(stream, "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (port, heard)
}

fn question(port: u16, further: &[IpAddr]) -> Question {
    let addresses = [IpAddr::from([127, 0, 0, 1])].iter().chain(further).copied().collect();
    Question {
        url: format!("http://localhost:{port}"),
        named_by: ["nix substituters".to_owned()].into(),
        host: "localhost".to_owned(),
        port,
        tls: false,
        inquiry: Inquiry::Nothing,
        addresses,
        more: None,
        proxy: Fact::Absent,
        proxy_addresses: Vec::new(),
        proxy_more: None,
        roots: Arc::new(Roots { path: Fact::Absent, named_by: Fact::Absent, anchors: Fact::Present(Vec::new()) }),
        on_disk: Fact::Absent,
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("a runtime").block_on(work)
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

/// What a cache comes to that answers so.
fn served(without: u16, with: u16) -> ServedCache {
    let (port, _heard) = catcher(without, with);
    let login = Login { origin: "/etc/nix/netrc:1".into(), header: Ok(HeaderValue::from_static("Basic bmVl")) };
    let keys = Keys::new(&Fact::Present(List::default()), &[]);
    let asked =
        Asked::new(&question(port, &[]), String::new(), Fact::Present(login), &Candidates { paths: Vec::new() }, &keys);
    run(async { asked.ask(ServedCache::default(), deadline()).await })
}

#[test]
fn a_server_that_is_busy_says_nothing_of_whom_it_admits() {
    let refused = served(401, 401);
    assert_eq!((refused.admitted, refused.login_status), (Fact::Present(false), Fact::Present(401)));
    let let_in = served(401, 200);
    assert_eq!((let_in.admitted, let_in.login_status), (Fact::Present(true), Fact::Present(200)));
    assert_eq!(served(404, 404).admitted, Fact::Absent, "no cache");
    for status in [429, 500, 503] {
        for (without, with) in [(401, status), (status, 200)] {
            let busy = served(without, with);
            assert_eq!((busy.answers, busy.status), (Fact::Present(true), Fact::Present(without)));
            assert!(matches!(busy.admitted, Fact::Unobserved(_)), "{without} {with}: {:?}", busy.admitted);
            assert!(matches!((busy.kind, busy.paths), (Fact::Unobserved(_), Fact::Unobserved(_))), "{without} {with}");
        }
    }
}

#[test]
fn no_login_is_said_where_one_of_the_addresses_is_link_local_or_a_clouds_own() {
    let login = HeaderValue::from_static("Bearer token");
    for address in ["169.254.169.254", "fe80::1", "100.100.100.200", "fd00:ec2::254"] {
        let address: IpAddr = address.parse().expect("an address");
        let (port, heard) = catcher(200, 200);
        let there = question(port, &[address]);
        let reply = run(async { get(&there, "/nix-cache-info", Some(&login), deadline()).await });
        assert!(matches!(reply, Reply::Unclear(Reason::Disabled { .. })), "{address}");
        let proxy = Fact::Present(EndpointUrl::parse(&format!("http://localhost:{port}")));
        let local = vec![IpAddr::from([127, 0, 0, 1]), address];
        let through = Question { proxy, proxy_addresses: local, ..question(port, &[]) };
        let reply = run(async { get(&through, "/nix-cache-info", Some(&login), deadline()).await });
        assert!(matches!(reply, Reply::Unclear(Reason::Disabled { .. })), "a proxy at {address}");
        assert!(heard.try_recv().is_err(), "{address}: nobody was to be told anything");
        // The second address of a family is left alone where the first connects; of another family it would be called.
        if address.is_ipv6() {
            continue;
        }
        let reply = run(async { get(&there, "/nix-cache-info", None, deadline()).await });
        assert!(matches!(reply, Reply::Answer { status: 200, .. }), "{address}: without a login");
    }
}
