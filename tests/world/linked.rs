//! Substituters that a client has its daemon fetch from: what the daemon reaches of them, and on whose word it is asked. The daemon is a real one in a
//! network of its own, and what it then fetches for the client is the oracle.

use std::process::Stdio;
use std::time::Duration;

use crate::asking::said;
use crate::doctor::{Report, assert_twins};
use crate::engine::{Background, Container, docker, gateway};
use crate::hostile::SLEEP;
use crate::image::BUSYBOX;
use crate::reaching::{address_of, configure_network, in_network};
use crate::server::{Authority, Server, page, paged};
use crate::signatures::World;

/// Says of every connection that there was one, whether a byte came or not.
const LISTENER: &str = "
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    print('a connection from', server.accept()[1], file=sys.stderr, flush=True)
";

const ROOT: [&str; 4] = ["-u", "0:0", "-e", "HOME=/root"];

/// A network for the daemon: that of a container in which nothing else runs.
fn network() -> Container {
    Container::run("parallax-world-network", &[], BUSYBOX, SLEEP)
}

fn pid_of(container: &Container) -> String {
    docker(&["inspect", "--format", "{{.State.Pid}}", &container.name]).expect("a pid")
}

/// Whether the daemon fetches the path for this client. The path is gone again afterwards.
pub fn fetches(world: &World, client: &Container) -> (bool, String) {
    let command = format!("/bin/busybox timeout 60 nix-store --realise {}", world.path);
    match client.exec(&["/bin/sh", "-c", &command]) {
        Ok(text) => {
            world.forget();
            (true, text)
        }
        Err(text) => (false, text),
    }
}

/// What a client configures that has the daemon fetch from here.
fn asks_for(world: &World, url: &str) -> String {
    format!("substituters = {url}\ntrusted-public-keys = {}\n", world.key("present"))
}

/// Nothing else is found: the one fault is the one finding.
fn one_finding(report: &Report, check: &str) {
    let found = report.with_outcome("incoherent");
    assert!(found.len() == 1 && found[0].contains(check), "{found:#?}");
}

pub fn a_substituter_that_the_client_reaches_and_its_daemon_does_not() {
    let mut world = World::new(Some("present"), None);
    let url = world.url.clone();
    let mut run = |broken: bool| {
        let apart = network();
        if broken {
            configure_network(&apart, &["ip", "route", "add", "unreachable", &gateway()]);
        }
        world.nix.network = Some(pid_of(&apart));
        let client = world.client(ROOT, "/root", &asks_for(&world, &url), &[]);
        let report = world.look("substituters =\n");
        let (fetched, text) = fetches(&world, &client);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("daemon-connects", &broken, &repaired, "reach/daemon-connects", &[&url]);
    one_finding(&broken, "reach/daemon-connects");
}

pub fn a_substituter_on_the_loopback_of_the_client() {
    let mut world = World::new(Some("present"), None);
    let url = "http://127.0.0.1:8085";
    let pages = format!("{}:/pages:ro", world.nix.text("cache"));
    let mut run = |broken: bool| {
        let apart = network();
        world.nix.network = Some(pid_of(&apart));
        let joined = format!("--network=container:{}", apart.name);
        let options: &[&str] = if broken { &["-v", &pages] } else { &["-v", &pages, &joined] };
        let client = world.client(ROOT, "/root", &asks_for(&world, url), options);
        client.exec(&["/bin/httpd", "-p", "127.0.0.1:8085", "-h", "/pages"]).expect("it listens");
        let report = world.look("substituters =\n");
        let (fetched, text) = fetches(&world, &client);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("daemon-loopback", &broken, &repaired, "reach/daemon-same-machine", &[url]);
    one_finding(&broken, "reach/daemon-same-machine");
}

pub fn an_authority_in_the_clients_bundle_and_not_in_the_daemons() {
    let mut world = World::new(Some("present"), None);
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let (base, plain) = (world.nix.directory.path().to_owned(), world.url.clone());
    let server = Server::https((gateway().parse().expect("an address"), 0), &ours.issue(&gateway(), 2090), move |path| {
        fetched(&format!("{plain}{path}"))
    });
    let url = format!("https://{}:{}", gateway(), server.port);
    let (with, without) = (ours.bundle(&base, "with.crt"), other.bundle(&base, "without.crt"));
    let bundle = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", with.display());
    let mut run = |broken: bool| {
        let file = if broken { &without } else { &with };
        world.nix.variables = vec![("NIX_SSL_CERT_FILE", file.display().to_string())];
        let client = world.client(ROOT, "/root", &asks_for(&world, &url), &["-v", &bundle]);
        let report = world.look("substituters =\n");
        let (fetched, text) = fetches(&world, &client);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("daemon-authority", &broken, &repaired, "reach/daemon-trusted-roots", &[&url]);
    one_finding(&broken, "reach/daemon-trusted-roots");
}

/// What a server on this machine answers, passed on: text only, which is all that a small uncompressed cache is of.
fn fetched(url: &str) -> String {
    let output = std::process::Command::new("curl").args(["-sS", "--fail", url]).output().expect("curl runs");
    match String::from_utf8(output.stdout) {
        Ok(body) if output.status.success() => paged("200 OK", &body, "parallax-cache"),
        _ => page(false, "parallax-cache"),
    }
}

pub fn a_daemon_is_asked_on_the_word_of_who_it_trusts_alone_and_without_a_byte() {
    let mut world = World::new(Some("present"), None);
    let apart = network();
    world.nix.network = Some(pid_of(&apart));
    configure_network(&apart, &["ip", "address", "add", "169.254.169.254/32", "dev", "lo"]);
    let listens = |address: &str, port: &str| {
        let mut command = in_network(&apart, &["python3", "-c", LISTENER, address, port]);
        Background(command.stderr(Stdio::piped()).spawn().expect("python listens"))
    };
    let mut run = |trusted: &str| {
        let catcher = Server::http((gateway().parse().expect("an address"), 0), |_| page(false, "catcher"));
        let hosts = [listens("127.0.0.1", "8086"), listens("169.254.169.254", "8086"), listens("127.0.0.1", "8087")];
        std::thread::sleep(Duration::from_millis(800));
        let named = format!(
            "substituters = http://user:canary@{}:{} http://127.0.0.1:8086 http://169.254.169.254:8086 \
             http://[::ffff:127.0.0.1]:8086 http://0.0.0.0:8087 http://localhost:8087\nnetrc-file = /home/job/.config/nix/netrc\n",
            gateway(),
            catcher.port
        );
        let client = world.job(&named);
        let report = world.look(&format!("substituters =\ntrusted-users = {trusted}\n"));
        let own = address_of(&client);
        let (clients, others): (Vec<_>, Vec<_>) =
            catcher.asked().into_iter().partition(|(peer, _)| peer.to_string() == own);
        assert!(!clients.is_empty(), "the client asks its own endpoint: {}", report.errors);
        for listener in hosts {
            assert_eq!(said(listener), "", "what is the daemon's own is not tried on a client's word");
        }
        (report, others)
    };
    let (report, others) = run("root");
    assert!(others.is_empty(), "nothing is tried on the word of who is not trusted: {others:?}");
    assert!(report.rows("nix/honoured-requests", &[]).iter().any(|row| row["outcome"] == "incoherent"));
    let known = listens("127.0.0.1", "8088");
    std::thread::sleep(Duration::from_millis(800));
    let mut call = in_network(&apart, &["busybox", "nc", "-w", "1", "127.0.0.1", "8088"]);
    call.stdin(Stdio::null()).output().expect("busybox calls");
    assert_ne!(said(known), "", "a bare connection would be seen");
    let (_, others) = run("root *");
    assert!(!others.is_empty(), "the daemon is asked on the word of who is trusted");
    for (peer, head) in others {
        assert_eq!((peer.to_string(), head.as_str()), (address_of(&apart), ""), "a connection and no byte");
    }
}
