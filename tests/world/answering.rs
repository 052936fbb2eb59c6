//! Who answers under an endpoint's name says something of itself: a certificate for another name, a clock of its own. Each failing world with its
//! repaired twin; Nix, and a second reader of the `Date` header, are the oracles.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::doctor::{assert_twins, doctor};
use crate::engine::{Background, gateway};
use crate::minio::free_port;
use crate::reaching::{bridge, job, nix_takes, shared};
use crate::server::{Authority, INFO, Server};

/// A certificate that is for the address, asked for by the name, as a reverse proxy shows its default one to a name that it was not told of.
pub fn a_certificate_that_is_for_another_name() {
    const NAME: &str = "cache.parallax-world.test";
    let directory = shared();
    let ours = Authority::new("Parallax World CA");
    let mount = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", ours.bundle(directory.path(), "ca.crt").display());
    let host = format!("{NAME}:{}", gateway());
    let mut port = 0;
    let mut run = |name: &str| {
        let server = Server::tls((bridge().0, port), &ours.issue(name, 2090));
        port = server.port;
        let url = format!("https://{NAME}:{port}");
        let job = job(directory.path(), "job", &url, &["-v", &mount, "--add-host", &host]);
        assert_eq!(nix_takes(&job, &url), name == NAME, "Nix asks for the name too");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&gateway()), run(NAME));
    assert_twins("certificate-of-another-name", &broken, &repaired, "reach/names-host", &[NAME]);
    let distrusted = broken.rows("reach/trusted-roots", &[NAME]);
    assert!(distrusted.is_empty(), "its root is in the bundle, whatever its name: {distrusted:#?}");
}

/// A real server on a machine whose clock is ahead: libfaketime stands for the machine. Its program `faketime` would stay between us and the server.
fn served_ahead(by: &str, port: u16, pages: &Path) -> Background {
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", &port.to_string(), "--bind", &gateway(), "--directory"]).arg(pages);
    command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1").env("FAKETIME", by);
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 starts");
    let begun = Instant::now();
    while TcpStream::connect((gateway(), port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server listens");
        std::thread::sleep(Duration::from_millis(50));
    }
    Background(server)
}

/// How far ahead curl and `date` find it, in seconds.
fn ahead_by_curl(url: &str) -> i64 {
    let script = format!("curl -sI {url} | tr -d '\\r' | sed -n 's/^[Dd]ate: //p' | date -f - +%s; date +%s");
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let seconds: Vec<i64> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    let [there, here] = seconds[..] else { panic!("curl read no date of {url}") };
    there - here
}

pub fn a_service_whose_clock_is_twenty_minutes_ahead() {
    let (directory, port) = (shared(), free_port());
    std::fs::write(directory.path().join("nix-cache-info"), INFO).expect("a page");
    let url = format!("http://{}:{port}", gateway());
    let run = |by: &str, seconds: i64| {
        let _server = served_ahead(by, port, directory.path());
        let _job = job(directory.path(), "job", &url, &[]);
        assert!((ahead_by_curl(&url) - seconds).abs() < 5, "libfaketime has moved its clock");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run("+20m", 1200), run("+0", 0));
    assert_twins("clock-ahead", &broken, &repaired, "reach/clock", &[&port.to_string()]);
    assert_eq!(broken.code, 4, "a clock by itself is a warning");
    let behind = run("-20m", -1200);
    assert_eq!(behind.row("reach/clock", &[&port.to_string()])["outcome"], "incoherent");
}

/// The port of a server for plain HTTP behind an `https` URL, as when whoever ended TLS is gone.
pub fn a_plain_server_where_tls_is_configured() {
    let directory = shared();
    let ours = Authority::new("Parallax World CA");
    let mount = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", ours.bundle(directory.path(), "ca.crt").display());
    let mut port = 0;
    let mut run = |is_plain: bool| {
        let at = (bridge().0, port);
        let server = if is_plain { Server::cache(at) } else { Server::tls(at, &ours.issue(&gateway(), 2090)) };
        port = server.port;
        let url = format!("https://{}:{port}", gateway());
        let job = job(directory.path(), "job", &url, &["-v", &mount]);
        assert_eq!(nix_takes(&job, &url), !is_plain);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("plain-behind-https", &broken, &repaired, "reach/speaks-tls", &[&port.to_string()]);
    let symptom = broken.row("reach/is-a-cache", &["(job"]);
    assert_eq!(symptom["caused_by"]["check"], "reach/speaks-tls", "{symptom:#}");
}
