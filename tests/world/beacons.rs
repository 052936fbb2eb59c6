//! Which loopback an address leads to: a service that listens on the host's loopback only, and a network in user space that forwards to it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::{Background, Container, docker, gateway};
use crate::image::NIX;
use crate::nix::NixDaemon;

const JOB: &str = "parallax-world-beacons";
const JOB_LABEL: [&str; 2] = ["--label", "com.gitlab.gitlab-runner.type=build"];

/// A job whose own Nix is told to fetch from `address`, and which uses no daemon.
fn job(network: &str, address: &str) -> Container {
    let settings = format!("NIX_CONFIG=substituters = http://{address}");
    let options = [&JOB_LABEL[..], &["--network", network, "-e", &settings]].concat();
    Container::run(JOB, &options, NIX, &["sleep", "900"])
}

pub fn a_cache_that_listens_on_the_hosts_loopback_only_is_missed_at_the_gateway() {
    let nix = NixDaemon::start("");
    let run = |listens: &str, port: u16| {
        let cache = Cache::serve_at(&format!("{listens}:{port}"));
        let container = job("bridge", &format!("{}:{}", gateway(), cache.port));
        // What the container's own program says of it.
        let connects = container.exec(&["nc", "-w", "2", &gateway(), &cache.port.to_string(), "-e", "true"]).is_ok();
        (connects, cache.port, doctor(&[], &nix.environment()))
    };
    let (connects, port, broken) = run("127.0.0.1", 0);
    assert!(!connects, "the host's loopback is not reached by its gateway");
    let (connects, _, repaired) = run("0.0.0.0", port);
    assert!(connects, "a wildcard is");
    assert_twins("loopback-only-cache", &broken, &repaired, "reach/listens-for-others", &[&port.to_string()]);
}

/// A network in user space for a container without one, in which 10.0.2.2 leads to the loopback of the host (`slirp4netns(1)`).
fn forwarded(container: &Container) -> Background {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container.name]).expect("it runs");
    let network = Command::new("slirp4netns")
        .args(["--configure", "--mtu=65520", &pid, "tap0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("slirp4netns starts");
    let network = Background(network);
    let begun = Instant::now();
    while !container.exec(&["cat", "/proc/net/route"]).expect("it runs").contains("tap0\t00000000") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the network does not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
    network
}

/// The namespace that parallax saw 10.0.2.2 lead to, and that of the host.
fn proven(report: &Report) -> (String, String) {
    let row = report.row("reach/answers-on-loopback", &["10.0.2.2"]);
    let values = row["participants"].to_string();
    (values, row["outcome"].as_str().unwrap_or_default().to_owned())
}

pub fn a_loopback_that_is_forwarded_is_proven_by_a_listener_there_and_nothing_is_left_of_it() {
    let nix = NixDaemon::start("");
    let port = Cache::serve_at("127.0.0.1:0").port;
    let container = job("none", &format!("10.0.2.2:{port}"));
    let _network = forwarded(&container);
    let before = listeners();
    let broken = doctor(&[], &nix.environment());
    let repaired = {
        let _cache = Cache::serve_at(&format!("127.0.0.1:{port}"));
        doctor(&[], &nix.environment())
    };
    assert_twins("forwarded-loopback", &broken, &repaired, "reach/answers-on-loopback", &["10.0.2.2"]);
    assert_eq!(proven(&broken).1, "incoherent", "{}", proven(&broken).0);
    // The beacons are gone with the run that raised them.
    assert_eq!(listeners(), before);
    // Without the round of questions nothing is raised and nothing is claimed.
    let offline = parallax().args(["doctor", "--offline", "--format", "json"]).envs(nix.environment()).output();
    let offline = crate::doctor::read(&offline.expect("parallax runs"));
    assert!(offline.rows("reach/answers-on-loopback", &["10.0.2.2"]).is_empty());
}

/// The TCP ports that are listened on at the host's loopback addresses.
fn listeners() -> Vec<String> {
    let text = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).expect("a table"));
    let listening =
        text.iter().flat_map(|text| text.lines()).filter(|line| line.split_whitespace().nth(3) == Some("0A"));
    let mut ports: Vec<String> =
        listening.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect();
    ports.sort();
    ports
}
