//! The configuration of Docker's engine, `daemon.json` (`dockerd(8)`, "DAEMON CONFIGURATION FILE"), and its options on the command line: where it listens
//! and which registries it treats in a way of their own. No I/O.

use serde::Deserialize;

/// What the file says of registries and sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonConfig {
    /// Where it listens, beside what the command line says.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What it asks in place of Docker's own registry.
    #[serde(default, rename = "registry-mirrors")]
    pub mirrors: Vec<String>,
    /// Registries that it takes without a certificate that it trusts, and over plain HTTP: `host:port` or a network.
    #[serde(default, rename = "insecure-registries")]
    pub insecure: Vec<String>,
    /// Proxies of its own, which hold instead of those of its environment.
    #[serde(default)]
    pub proxies: Proxies,
}

/// Its proxies (`dockerd(8)`, "proxies"). Only whether there is one is kept: their URLs may hold passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Proxies {
    #[serde(default, rename = "http-proxy", deserialize_with = "is_set")]
    pub http: bool,
    #[serde(default, rename = "https-proxy", deserialize_with = "is_set")]
    pub https: bool,
}

fn is_set<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    zeroize::Zeroizing::<String>::deserialize(value).map(|text| !text.is_empty())
}

/// Why a text is no such file. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON that dockerd takes")]
pub struct DaemonConfigError {
    /// 1-based.
    pub line: u32,
}

/// Reads the file. An empty one says nothing (`daemon/config/config.go`).
pub fn parse(text: &[u8]) -> Result<DaemonConfig, DaemonConfigError> {
    if text.trim_ascii().is_empty() {
        return Ok(DaemonConfig::default());
    }
    serde_json::from_slice(text)
        .map_err(|error| DaemonConfigError { line: u32::try_from(error.line()).unwrap_or(u32::MAX) })
}

/// What a command line says of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `--config-file`.
    pub config_file: Option<String>,
    /// `-H`, `--host`.
    pub hosts: Vec<String>,
    /// `--insecure-registry`.
    pub insecure: Vec<String>,
    /// `--registry-mirror`.
    pub mirrors: Vec<String>,
    /// Whether `--http-proxy` or `--https-proxy` is among them.
    pub proxied: bool,
}

/// Reads the words after the program's name.
pub fn command_line(words: &[String]) -> CommandLine {
    let mut line = CommandLine::default();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let (option, joined) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || joined.map(str::to_owned).or_else(|| rest.next().cloned());
        match option {
            "--config-file" => line.config_file = value(),
            "-H" | "--host" => line.hosts.extend(value()),
            "--insecure-registry" => line.insecure.extend(value()),
            "--registry-mirror" => line.mirrors.extend(value()),
            "--http-proxy" | "--https-proxy" => line.proxied = value().is_some(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DaemonConfig, command_line, parse};

    #[test]
    fn what_it_says_of_registries_is_read_and_everything_else_is_left() {
        let text = br#"{"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["10.0.0.0/8"], "hosts": ["fd://"], "debug": true}"#;
        let read = parse(text).expect("a configuration");
        assert_eq!(read.mirrors, ["https://mirror.example"]);
        assert_eq!(read.insecure, ["10.0.0.0/8"]);
        assert_eq!(read.hosts, ["fd://"]);
        assert!(!read.proxies.https);
        let proxied =
            parse(br#"{"proxies": {"https-proxy": "http://user:word@proxy:3128"}}"#).expect("a configuration");
        assert!(proxied.proxies.https && !format!("{proxied:?}").contains("word"));
        assert_eq!(parse(b" \n"), Ok(DaemonConfig::default()));
        assert_eq!(parse(b"{\n\"hosts\": 1}").map_err(|error| error.line), Err(2));
    }

    #[test]
    fn options_are_read_with_a_blank_and_with_a_sign() {
        let words = ["dockerd", "-H", "fd://", "--host=unix:///run/two.sock", "--config-file", "/etc/two.json", "-D"];
        let line = command_line(&words.map(str::to_owned));
        assert_eq!(line.hosts, ["fd://", "unix:///run/two.sock"]);
        assert_eq!(line.config_file.as_deref(), Some("/etc/two.json"));
    }

    proptest! {
        #[test]
        fn every_text_has_an_answer(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }
    }
}
