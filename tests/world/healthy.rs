//! A healthy host: Nix, Docker, and containers of every shape. Nothing may be found, and nothing may be unknown.

use crate::cache::Cache;
use crate::doctor::doctor;
use crate::engine::{Container, docker, gateway};
use crate::image::{BUSYBOX, NIX, SCRATCH};
use crate::nix::NixDaemon;
use crate::runner::{self, Runner};

const SLEEP: &[&str] = &["sleep", "900"];

pub fn a_healthy_host_is_silent() {
    let cache = Cache::serve();
    let substituter = format!("http://{}:{}", gateway(), cache.port);
    let nix = NixDaemon::start(&format!("substituters = {substituter}\n"));
    *cache.store.lock().expect("a lock") = nix.text("store");
    let socket = format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket"));
    let store = format!("{}:/nix/store:ro", nix.text("store"));
    let run = |name: &str, options: &[&str], image: &str, command: &[&str]| {
        Container::run(&format!("parallax-world-{name}"), options, image, command)
    };
    let runner = Runner::start(
        &format!("url = \"{substituter}\"\nenvironment = [\"NIX_REMOTE=daemon\"]"),
        &runner::docker(&[socket.clone(), store.clone(), "/cache".into()], ""),
    );
    let server = format!("CI_SERVER_URL={substituter}");
    let labels = runner::labels("build");
    let labels = labels.iter().map(String::as_str);
    let job: Vec<&str> =
        labels.chain(["-e", &server, "-v", &socket, "-v", &store, "-e", "NIX_REMOTE=daemon"]).collect();
    let _ = docker(&["volume", "create", "parallax-world-data"]);
    let containers = vec![
        run("job", &job, NIX, SLEEP),
        run("plain", &[], BUSYBOX, SLEEP),
        run("user", &["-u", "1000:1000"], BUSYBOX, SLEEP),
        run("anonymous", &["-u", "123456:123456"], BUSYBOX, SLEEP),
        run("no-network", &["--network", "none"], BUSYBOX, SLEEP),
        run("host-network", &["--network", "host"], BUSYBOX, SLEEP),
        run("read-only", &["--read-only", "--tmpfs", "/tmp"], BUSYBOX, SLEEP),
        run("scratch", &[], SCRATCH, &["/busybox", "sleep", "900"]),
        run(
            "server",
            &["-v", "parallax-world-data:/var", "-p", "127.0.0.1::80"],
            BUSYBOX,
            &["httpd", "-f", "-p", "80"],
        ),
        run("few-rights", &["--cap-drop", "ALL", "--security-opt", "no-new-privileges"], BUSYBOX, SLEEP),
        run("own-nix", &[], NIX, SLEEP),
    ];
    let rootless = crate::seeds::background("unshare", &["-Urnm", "sleep", "900"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let report = doctor(&[], &nix.environment());
    report.keep("healthy-host");
    let (found, unknown) = (report.with_outcome("incoherent"), report.with_outcome("unknown"));
    assert!(found.is_empty(), "no finding: {found:#?}");
    assert!(unknown.is_empty(), "no unknown: {unknown:#?}");
    let comparisons = report.json["summary"]["comparisons"].as_u64().expect("a count");
    assert!(comparisons >= 100, "{comparisons} comparisons");
    assert_eq!(report.code, 0, "{}", report.errors);
    // It is silent because it looked: the endpoint was asked from the host and from the job.
    let endpoints = report.json["endpoints"].as_array().expect("endpoints");
    let asked = endpoints.iter().map(|one| one["answers"].to_string()).collect::<String>();
    for context in ["\"host\"", "container:parallax-world-job", "service:nix-daemon"] {
        assert!(asked.contains(context) && asked.contains("connected"), "{context}: {endpoints:#?}");
    }
    drop((containers, rootless, runner));
    let _ = docker(&["volume", "rm", "parallax-world-data"]);
}
