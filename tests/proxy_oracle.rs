//! Whom `no_proxy` takes out, by parallax and by the curl of this machine: a table of entries and hosts, each asked of both. Needs curl.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// As people write them, and as they should not.
const ENTRIES: [&str; 15] = [
    "",
    "*",
    "cache.test",
    ".cache.test",
    "*.cache.test",
    "ache.test",
    "CACHE.test.",
    "localhost,127.0.0.1",
    "10.0.0.0/8,192.168.0.0/16",
    "10.0.0.0/8,203.0.113.0/24",
    "203.0.113.7",
    "0.113.7",
    "::1 2001:db8::7",
    "other.test cache.test",
    "cache.test:80",
];

const HOSTS: [&str; 6] = ["cache.test", "inner.cache.test", "test", "203.0.113.7", "[2001:db8::7]", "localhost"];

/// A proxy that refuses everybody and says when it did.
fn proxy() -> (u16, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            // Told before it is answered: who was refused has ended when we look.
            let _ = tell.send(());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, told)
}

/// Whether curl asks the proxy. Nothing is asked of anybody else: every name and address is led to a closed port of this machine.
fn curl_goes_through(host: &str, entries: &str, port: u16, asked: &Receiver<()>) -> bool {
    let elsewhere = format!("{host}:80:127.0.0.1:1");
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "--max-time", "5", "--connect-to", &elsewhere, &format!("http://{host}/")]);
    command.env_clear().env("http_proxy", format!("http://127.0.0.1:{port}")).env("no_proxy", entries);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").status().expect("curl runs");
    asked.try_iter().count() > 0
}

/// What parallax says of all hosts, in the order of [`HOSTS`]: the proxy, none, or that it does not say.
fn parallax_says(entries: &str, port: u16) -> Vec<Option<bool>> {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("parallax.toml");
    let endpoint =
        |(number, host): (usize, &&str)| format!("[[endpoint]]\nname = \"n{number}\"\nurl = \"http://{host}\"\n");
    std::fs::write(&config, HOSTS.iter().enumerate().map(endpoint).collect::<String>()).expect("parallax.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_parallax"))
        .args(["probe", "--config"])
        .arg(&config)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("http_proxy", format!("http://127.0.0.1:{port}"))
        .env("no_proxy", entries)
        .output()
        .expect("parallax runs");
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    let endpoints = snapshot["facts"]["reach"]["endpoints"].as_array().expect("a list");
    let of = |number: usize| {
        let name = Value::from(format!("parallax.toml n{number}"));
        let by = |one: &&Value| one["named_by"].as_array().is_some_and(|names| names.contains(&name));
        endpoints.iter().find(by).expect("every host is asked").get("proxy").map(|proxy| !proxy.is_null())
    };
    (0..HOSTS.len()).map(of).collect()
}

#[test]
fn parallax_goes_through_the_proxy_exactly_where_curl_does() {
    let (port, asked) = proxy();
    for entries in ENTRIES {
        let ours = parallax_says(entries, port);
        asked.try_iter().for_each(drop);
        for (host, ours) in HOSTS.iter().zip(ours) {
            let curl = curl_goes_through(host, entries, port, &asked);
            assert_eq!(ours, Some(curl), "no_proxy={entries:?} host={host}");
        }
    }
}
