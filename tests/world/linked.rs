//! Substituters that a client has its daemon fetch from: what the daemon reaches of them, and on whose word it is asked. The daemon is a real one in a
//! network of its own, and what it then fetches for the client is the oracle.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::asking::said;
use crate::doctor::{Report, assert_mended, assert_twins, doctor, parallax};
use crate::engine::{Background, Container, docker, gateway};
use crate::hostile::SLEEP;
use crate::image::BUSYBOX;
use crate::reaching::{address_of, configure_network, in_network};
use crate::server::{Authority, Server, page, paged};
use crate::signatures::World;
use crate::user::User;

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

/// No job reads in the daemon's published view what another one names.
fn assert_published_without(world: &World, url: &str) {
    let views = tempfile::tempdir().expect("a directory");
    let mut command = parallax();
    command.args(["doctor", "--publish"]).arg(views.path()).envs(world.nix.environment());
    command.output().expect("parallax runs");
    let view = std::fs::read_to_string(views.path().join("service.nix-daemon.snapshot.json")).expect("a view");
    assert!(view.contains("\"linked\"") && !view.contains(url) && !view.contains("parallax-world-job"), "{view}");
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
        assert_published_without(&world, &url);
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_mended(&broken, &repaired, "reach/daemon-connects", &[&url]);
    one_finding(&broken, "reach/daemon-connects");
}

/// Nix' own download goes through the proxy; whether the far end is reached can't be said without speaking to it, and nobody does.
pub fn a_proxy_of_the_daemon_is_not_spoken_to_on_its_clients_word() {
    let mut world = World::new(Some("present"), None);
    let proxy = Server::proxy((gateway().parse().expect("an address"), 0));
    world.nix.variables = vec![("http_proxy", format!("http://{}:{}", gateway(), proxy.port))];
    world.write("parallax.toml", &format!("users = [\"{}\"]\n", Asking::NAME), 0);
    let asking = Asking::new(&world, std::slice::from_ref(&world.url));
    let report = world.look(&format!("substituters =\ntrusted-users = root {}\n", Asking::NAME));
    report.keep("daemon-proxy");
    assert!(proxy.asked().iter().all(|(_, head)| head.is_empty()), "{:?}", proxy.asked());
    assert!(report.rows("reach/daemon-connects", &[&world.url]).is_empty());
    let (fetched, text) = asking.fetches(&world);
    assert!(fetched && proxy.asked().iter().any(|(_, head)| head.contains(&world.url)), "{text}");
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
    assert_mended(&broken, &repaired, "reach/daemon-same-machine", &[url]);
    one_finding(&broken, "reach/daemon-same-machine");
}

pub fn an_authority_in_the_clients_bundle_and_not_in_the_daemons() {
    let mut world = World::new(Some("present"), None);
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let (base, plain) = (world.nix.directory.path().to_owned(), world.url.clone());
    let server =
        Server::https((gateway().parse().expect("an address"), 0), &ours.issue(&gateway(), 2090), move |path| {
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
    assert_mended(&broken, &repaired, "reach/daemon-trusted-roots", &[&url]);
    one_finding(&broken, "reach/daemon-trusted-roots");
}

/// A user of this machine who asks the daemon through the environment, and whose views may be published.
struct Asking {
    environment: Vec<(&'static str, String)>,
    _user: User,
    _process: Background,
}

impl Asking {
    const NAME: &'static str = "parallax-world";

    fn new(world: &World, substituters: &[String]) -> Self {
        let home = world.nix.path("user");
        let _ = std::fs::create_dir(&home);
        let user = User::add(Self::NAME, &home);
        let mut environment = world.nix.environment();
        environment.extend([
            ("HOME", home.display().to_string()),
            ("NIX_REMOTE", "daemon".to_owned()),
            ("NIX_SSL_CERT_FILE", world.nix.text("with.crt")),
            ("NIX_CONFIG", asks_for(world, &substituters.join(" "))),
        ]);
        let mut asking = Self::command(&environment, &["sleep", "900"]);
        let process = Background(asking.spawn().expect("it starts"));
        Self { environment, _user: user, _process: process }
    }

    fn command(environment: &[(&'static str, String)], command: &[&str]) -> Command {
        let mut asking = Command::new("setpriv");
        asking.args(["--reuid", Self::NAME, "--regid", Self::NAME, "--clear-groups"]).args(command);
        asking.env_clear().env("PATH", "/usr/bin:/bin");
        asking.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        asking
    }

    /// Whether the daemon fetches the path for him.
    fn fetches(&self, world: &World) -> (bool, String) {
        let command = ["timeout", "90", "nix-store", "--realise", world.path.as_str()];
        let output = Self::command(&self.environment, &command).output().expect("nix-store runs");
        if output.status.success() {
            world.forget();
        }
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub fn three_substituters_of_a_user_of_which_the_daemon_in_its_own_network_fetches_from_none() {
    let mut world = World::new(Some("present"), None);
    world.write("parallax.toml", &format!("users = [\"{}\"]\n", Asking::NAME), 0);
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let (base, plain) = (world.nix.directory.path().to_owned(), world.url.clone());
    ours.bundle(&base, "with.crt");
    other.bundle(&base, "without.crt");
    let over_tls = Server::https((gateway().parse().expect("an address"), 0), &ours.issue(&gateway(), 2090), {
        let plain = plain.clone();
        move |path| fetched(&format!("{plain}{path}"))
    });
    let on_loopback = Server::http(([127, 0, 0, 1].into(), 0), move |path| fetched(&format!("{plain}{path}")));
    let pages = format!("{}:/pages:ro", world.nix.text("cache"));
    let behind = Container::run("parallax-world-cache", &["-v", &pages], BUSYBOX, &["httpd", "-f", "-h", "/pages"]);
    let urls = [
        format!("http://{}", address_of(&behind)),
        format!("https://{}:{}", gateway(), over_tls.port),
        format!("http://127.0.0.1:{}", on_loopback.port),
    ];
    let asking = Asking::new(&world, &urls);
    let apart = network();
    configure_network(&apart, &["ip", "route", "add", "unreachable", &address_of(&behind)]);
    let mut run = |broken: bool| {
        world.nix.network = broken.then(|| pid_of(&apart));
        let bundle = world.nix.text(if broken { "without.crt" } else { "with.crt" });
        world.nix.variables = vec![("NIX_SSL_CERT_FILE", bundle)];
        let report = world.look(&format!("substituters =\ntrusted-users = root {}\n", Asking::NAME));
        let (fetched, text) = asking.fetches(&world);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    let checks = ["reach/daemon-connects", "reach/daemon-trusted-roots", "reach/daemon-same-machine"];
    for (check, url) in checks.iter().zip(&urls) {
        assert_twins("daemon-of-a-user", &broken, &repaired, check, &[url]);
    }
    assert_eq!(broken.with_outcome("incoherent").len(), checks.len(), "{:#?}", broken.with_outcome("incoherent"));
}

/// The one fault is seen from this machine's root, who fetches by himself, and from the client, whose finding is the symptom.
fn beneath(report: &Report, symptom: &str, cause: &str) {
    let found = report.with_outcome("incoherent");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(report.row(cause, &[])["outcome"], "incoherent");
    assert_eq!(report.row(symptom, &["job"])["caused_by"]["check"], cause);
}

/// A client whose system configuration, which is never sent, names the same cache as the daemon's own.
fn of_one_mind(world: &World, url: &str, more: &[&str]) -> Container {
    let conf = world.nix.path("client.conf");
    std::fs::write(&conf, format!("substituters = {url}\n")).expect("nix.conf");
    let conf = format!("{}:/etc/nix/nix.conf:ro", conf.display());
    world.client(ROOT, "/root", "", &[&["-v", conf.as_str()], more].concat())
}

pub fn a_substituter_of_both_that_the_client_alone_reaches() {
    let mut world = World::new(Some("present"), None);
    let url = world.url.clone();
    let apart = network();
    world.nix.network = Some(pid_of(&apart));
    let mut run = |broken: bool| {
        let change = if broken { "add" } else { "del" };
        configure_network(&apart, &["ip", "route", change, "unreachable", &gateway()]);
        let client = of_one_mind(&world, &url, &[]);
        let report = world.look(&asks_for(&world, &url));
        let (fetched, text) = fetches(&world, &client);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("daemon-fetches", &broken, &repaired, "reach/daemon-fetches", &[&url, "job"]);
    beneath(&broken, "reach/daemon-fetches", "reach/connects");
}

pub fn an_authority_that_a_variable_of_the_client_alone_leads_to() {
    let mut world = World::new(Some("present"), None);
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let (base, plain) = (world.nix.directory.path().to_owned(), world.url.clone());
    let at = (gateway().parse().expect("an address"), 0);
    let server = Server::https(at, &ours.issue(&gateway(), 2090), move |path| fetched(&format!("{plain}{path}")));
    let url = format!("https://{}:{}", gateway(), server.port);
    let (with, without) = (ours.bundle(&base, "with.crt"), other.bundle(&base, "without.crt"));
    let bundle = format!("{}:/company.crt:ro", with.display());
    let mut run = |broken: bool| {
        let file = if broken { &without } else { &with };
        world.nix.variables = vec![("NIX_SSL_CERT_FILE", file.display().to_string())];
        let client = of_one_mind(&world, &url, &["-v", &bundle, "-e", "NIX_SSL_CERT_FILE=/company.crt"]);
        world.configure(&asks_for(&world, &url));
        // Root of this machine has the variable in its shell too.
        let mut environment = world.nix.environment();
        environment.push(("NIX_SSL_CERT_FILE", with.display().to_string()));
        let report = doctor(&["--config", &world.nix.text("parallax.toml")], &environment);
        let (fetched, text) = fetches(&world, &client);
        assert_eq!(fetched, !broken, "{text}");
        report
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("daemon-verifies", &broken, &repaired, "reach/daemon-verifies", &[&url, "job"]);
    beneath(&broken, "reach/daemon-verifies", "reach/trusted-roots");
}

/// What a server on this machine answers, passed on: text only, which is all that a small uncompressed cache is of.
fn fetched(url: &str) -> String {
    let output = Command::new("curl").args(["-sS", "--fail", url]).output().expect("curl runs");
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
