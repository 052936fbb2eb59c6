//! URLs of endpoints as configuration writes them (RFC 3986, with the liberties of Docker, Nix and GitLab): scheme, host, port, and
//! the form without secrets.
//!
//! Written here and not taken from the url crate, which refuses or rewrites what configuration holds: `registry.example:5050`, `daemon`,
//! `127.1`, an explicit default port. Total: hostile text gives an address without the parts that could not be told apart. A
//! password may hold `/`, `?` and `@`; where an `@` stands late, everything before it is dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// An endpoint without userinfo, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointUrl {
    /// Lower case; `None` for `registry.example:5050` and words such as `daemon`.
    pub scheme: Option<String>,
    /// Lower case, without brackets; `None` where the address is no host (`unix://`, `s3://bucket`, `daemon`).
    pub host: Option<String>,
    /// As given.
    pub port: Option<u16>,
    /// What follows, without query and fragment; `/` or empty when there is none or it may hold a secret.
    pub path: String,
}

/// Schemes whose address is a path or a word and no host.
const LOCAL_SCHEMES: [&str; 9] = ["unix", "file", "fd", "npipe", "local", "daemon", "auto", "dummy", "local-overlay"];
/// The most bytes of an address that are looked at.
const MAX_LENGTH: usize = 4096;

impl EndpointUrl {
    /// Reads an address. Never fails: what is not understood has no host.
    pub fn parse(raw: &str) -> Self {
        let raw = raw.trim();
        let (scheme, rest) = match raw.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme.to_ascii_lowercase()), rest),
            _ => (None, raw),
        };
        if raw.len() > MAX_LENGTH {
            return Self { scheme, host: None, port: None, path: String::new() };
        }
        // An `@` in the query counts too: `https://user:a?b@host` is what people write, whatever RFC 3986 says of it.
        let start = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let split_late = !start.contains('@') && looks_like_userinfo(start) && rest.contains('@');
        let rest = if split_late { rest.rsplit_once('@').map_or(rest, |(_, after)| after) } else { rest };
        let (rest, query) = rest
            .split('#')
            .next()
            .unwrap_or_default()
            .split_once('?')
            .map_or_else(|| (rest.split('#').next().unwrap_or_default(), ""), |(before, query)| (before, query));
        match scheme.as_deref() {
            Some("s3") => Self::s3(rest, query),
            Some(local) if LOCAL_SCHEMES.contains(&local) => {
                Self { scheme, host: None, port: None, path: rest.to_owned() }
            }
            None if rest.starts_with('/') || !looks_like_host(rest) => {
                Self { scheme, host: None, port: None, path: rest.to_owned() }
            }
            _ => Self::with_authority(scheme, rest),
        }
    }

    /// `s3://bucket?endpoint=…&scheme=…` talks to that endpoint (Nix `S3BinaryCacheStoreConfig`); without one to the region's host, which is
    /// not in the URL.
    fn s3(bucket: &str, query: &str) -> Self {
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        match value("endpoint").filter(|endpoint| !endpoint.is_empty()) {
            Some(endpoint) => {
                let scheme = value("scheme").filter(|scheme| is_scheme(scheme)).unwrap_or_else(|| "https".to_owned());
                let bare = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
                let given = endpoint.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
                let scheme = given.map_or(scheme, str::to_owned).to_ascii_lowercase();
                Self { path: String::new(), ..Self::with_authority(Some(scheme), bare) }
            }
            None => {
                let bucket = bucket.rsplit('@').next().unwrap_or_default();
                Self { scheme: Some("s3".into()), host: None, port: None, path: bucket.to_owned() }
            }
        }
    }

    fn with_authority(scheme: Option<String>, rest: &str) -> Self {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(inside) => match inside.split_once(']') {
                Some((host, after)) => (host, after.strip_prefix(':')),
                None => (inside, None),
            },
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let host = percent_decode_str(host).decode_utf8_lossy().to_ascii_lowercase();
        let host = Some(host).filter(|host| !host.is_empty() && host.len() <= 255 && host.chars().all(is_host_letter));
        // A late `@` may be the end of a password that held a slash.
        let path = if path.contains('@') || host.is_none() { "" } else { path };
        Self { scheme, host, port: port.and_then(|port| port.parse().ok()), path: path.to_owned() }
    }

    /// The port, given or by the scheme.
    pub fn effective_port(&self) -> Option<u16> {
        self.host.as_ref()?;
        self.port.or(match self.scheme.as_deref() {
            Some("http" | "ws") => Some(80),
            // Docker and `docker login` speak TLS to a registry without a scheme.
            Some("https" | "wss") | None => Some(443),
            Some("ssh" | "ssh-ng" | "git+ssh" | "sftp") => Some(22),
            // Docker's plain port (`dockerd(8)`).
            Some("tcp") => Some(2375),
            Some("socks4" | "socks4a" | "socks5" | "socks5h") => Some(1080),
            Some("git") => Some(9418),
            _ => None,
        })
    }

    /// `scheme://host:port`: nothing of the path, which may hold a token.
    pub fn origin(&self) -> String {
        let scheme = self.scheme.as_ref().map(|scheme| format!("{scheme}://")).unwrap_or_default();
        match &self.host {
            Some(host) => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{scheme}{host}{port}")
            }
            None => format!("{scheme}{}", self.path),
        }
    }

    /// The origin and the path, for caches, whose path is their name.
    pub fn with_path(&self) -> String {
        if self.host.is_none() {
            self.origin()
        } else {
            format!("{}{}", self.origin(), self.path.trim_end_matches('/'))
        }
    }

    /// The host as an address, where it is one.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.as_deref().and_then(literal)
    }
}

/// An address as `getaddrinfo(3)` takes it: with a zone, and IPv4 in the forms of `inet_aton(3)` (`127.1`, `0x7f000001`).
pub fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(address));
    }
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let width = 8 * (4 - u32::try_from(front.len()).ok()?);
    if u64::from(*last) >= 1_u64 << width {
        return None;
    }
    let high = front.iter().enumerate().fold(0_u32, |sum, (index, part)| sum | (part << (24 - 8 * index)));
    Some(IpAddr::V4(Ipv4Addr::from(high | last)))
}

/// A number as `strtoul(3)` reads it with base 0.
fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex.to_owned(), 16),
        None if lower.len() > 1 && lower.starts_with('0') => (lower, 8),
        None => (lower, 10),
    };
    digits.chars().all(|letter| letter.is_digit(radix)).then(|| u32::from_str_radix(&digits, radix).ok())?
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.len() <= 32
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

fn is_host_letter(letter: char) -> bool {
    letter.is_alphanumeric() || "-._:%".contains(letter)
}

/// `user:word` where a port would be: no number follows the colon.
fn looks_like_userinfo(start: &str) -> bool {
    !start.starts_with('[')
        && start.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.parse::<u16>().is_err())
}

/// A bare `host`, `host:port` or `host/path`: it has a dot, a port or is `localhost`, unlike `daemon` and `auto`.
fn looks_like_host(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    authority == "localhost" || authority.contains(['.', ':', '@'])
}

#[cfg(test)]
#[path = "endpoint_url_tests.rs"]
mod tests;
