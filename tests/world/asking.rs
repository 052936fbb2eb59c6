//! Who is asked by whom, what they are told, and how long it takes when nobody answers.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::doctor::{doctor, parallax};
use crate::engine::{Background, Container, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::NIX;
use crate::reaching::{address_of, configure_network, in_network, shared};
use crate::server::{Server, page};

/// The host's own credentials, in the environment of whoever looks.
fn hosts_credentials() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ACCESS_KEY_ID", "AKIAHOSTCANARY000000".into()),
        ("AWS_SECRET_ACCESS_KEY", "host-secret-canary".into()),
        ("CI_JOB_TOKEN", "host-token-canary".into()),
    ]
}

fn catcher(address: &str) -> Server {
    Server::http((address.parse().expect("an address"), 0), |_| page(false, "catcher"))
}

pub fn what_a_container_names_is_asked_from_that_container_alone_and_without_a_credential() {
    let (own, hosts) = (catcher(&gateway()), catcher("127.0.0.1"));
    let named = [
        format!("CI_SERVER_URL=http://{}:{}", gateway(), own.port),
        format!("AWS_ENDPOINT_URL=http://127.0.0.1:{}", hosts.port),
        "CI_API_V4_URL=http://metadata.parallax-world.test:8089/api/v4".to_owned(),
    ];
    let mut options: Vec<&str> = JOB.to_vec();
    named.iter().for_each(|variable| options.extend(["-e", variable]));
    options.extend(["--add-host", "metadata.parallax-world.test:169.254.169.254"]);
    let job = Container::run("parallax-world-job", &options, NIX, SLEEP);
    configure_network(&job, &["ip", "address", "add", "169.254.169.254/32", "dev", "lo"]);
    let metadata = Background(
        in_network(&job, &["busybox", "httpd", "-f", "-vv", "-p", "169.254.169.254:8089", "-h", "/srv"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("busybox listens"),
    );
    let report = doctor(&[], &hosts_credentials());
    // The whole of it is kept for comparing and writing: nothing is asked.
    doctor(&["--deadline", "0.5"], &[]).keep("no-time-to-ask");
    assert!(!own.asked().is_empty(), "the container's own endpoint is asked: {}", report.errors);
    let from = address_of(&job);
    for (peer, head) in own.asked() {
        assert_eq!(peer.to_string(), from, "{head}");
        let told = head.to_ascii_lowercase();
        assert!(!told.contains("authorization") && !told.contains("canary") && !told.contains("cookie"), "{head}");
    }
    assert!(
        hosts.asked().is_empty(),
        "a container's word for its loopback is not tried from the host: {:?}",
        hosts.asked()
    );
    assert_eq!(said(metadata), "", "a name that leads to the metadata address is not followed");
}

/// What a server has written about its connections until now.
pub fn said(mut server: Background) -> String {
    let mut errors = server.0.stderr.take().expect("standard error");
    drop(server);
    let mut text = String::new();
    errors.read_to_string(&mut text).expect("text");
    text
}

pub fn a_metadata_address_that_a_container_writes_itself_is_tried_from_it() {
    let options: Vec<&str> = JOB.iter().chain(&["-e", "CI_SERVER_URL=http://169.254.169.254:8089"]).copied().collect();
    let job = Container::run("parallax-world-job", &options, NIX, SLEEP);
    configure_network(&job, &["ip", "address", "add", "169.254.169.254/32", "dev", "lo"]);
    let metadata = Background(
        in_network(&job, &["busybox", "httpd", "-f", "-vv", "-p", "169.254.169.254:8089", "-h", "/srv"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("busybox listens"),
    );
    std::thread::sleep(Duration::from_millis(300));
    doctor(&[], &[]);
    assert!(said(metadata).contains("169.254.169.254"), "the same server is seen where it is asked");
}

/// Half of two hundred answer; the packets to the others go nowhere.
pub fn two_hundred_endpoints_of_which_half_are_black_holes_end_by_the_deadline() {
    const HALF: usize = 100;
    let directory = shared();
    let cache = Server::cache((gateway().parse().expect("an address"), 0));
    let alive = (0..HALF).map(|number| format!("http://{}:{}/{number}", gateway(), cache.port));
    let holes = (0..HALF).map(|number| format!("http://198.18.0.{}:80", number + 2));
    let all: Vec<String> = alive.chain(holes).collect();
    let job = crate::reaching::job(directory.path(), "job", &all.join(" "), &[]);
    // Without ARP every packet is sent, to a far end that has no use for it.
    for line in [
        "link add hole type veth peer name far",
        "link set hole arp off",
        "address add 198.18.0.1/24 dev hole",
        "link set hole up",
        "link set far up",
    ] {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split(' ')).collect();
        configure_network(&job, &words);
    }
    let begun = Instant::now();
    let output = parallax().args(["probe", "--container", &job.name]).output().expect("parallax runs");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    let asked = snapshot["facts"]["reach"]["endpoints"].as_array().expect("a list");
    let with = |path: &str, value: &Value| asked.iter().filter(|one| one.pointer(path) == Some(value)).count();
    assert_eq!(asked.len(), 2 * HALF);
    assert_eq!(with("/service/kind", &"nix-cache".into()), HALF, "every answer is kept");
    assert_eq!(with("/v4", &"silent".into()), HALF);
    assert_eq!(with("/connected", &false.into()), HALF);

    let begun = Instant::now();
    let report = doctor(&["--deadline", "20"], &[]);
    assert!(begun.elapsed() < Duration::from_secs(22), "{:?}", begun.elapsed());
    assert!(report.with_outcome("incoherent").is_empty(), "{:#?}", report.with_outcome("incoherent"));
}
