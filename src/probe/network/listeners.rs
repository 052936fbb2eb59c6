//! Who listens in the target's network namespace, from the socket tables of its process.
//!
//! The tables are texts that were read before; nothing is opened here but, to confirm a silence, a connection to a loopback address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::formats::proc_net::{self, Bound, Waiting};
use crate::probe::reason;
use crate::snapshot::facts::Listener;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;
use crate::sys::process::{ProcessTexts, Text};

/// The most listeners that a snapshot holds.
const MAX_LISTED: usize = 512;
/// How long a loopback connection may take.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);

/// The waiting sockets of one namespace.
pub struct Sockets {
    tcp: Fact<Vec<Bound>>,
    udp: Fact<Vec<Bound>>,
}

impl Sockets {
    /// Reads the four tables.
    pub fn read(process: &ProcessTexts) -> Self {
        let path = |name: &str| format!("/proc/{}/net/{name}", process.pid);
        let table = |text: &Text, name: &str, which| read_table(text, &path(name), which);
        Self {
            tcp: both(table(&process.tcp, "tcp", Waiting::TcpListen), table(&process.tcp6, "tcp6", Waiting::TcpListen)),
            udp: both(table(&process.udp, "udp", Waiting::UdpBound), table(&process.udp6, "udp6", Waiting::UdpBound)),
        }
    }

    /// The fact: those on loopback and wildcard addresses, sorted.
    pub fn listeners(&self) -> Fact<List<Listener>> {
        let mut found = Vec::new();
        let mut more = None;
        for (protocol, table) in [("tcp", &self.tcp), ("udp", &self.udp)] {
            match table {
                Fact::Present(bound) => {
                    found.extend(bound.iter().filter(|bound| is_local(bound.address)).map(|bound| Listener {
                        protocol: protocol.to_owned(),
                        address: bound.address.to_string(),
                        port: bound.port,
                        wildcard: is_wildcard(bound.address),
                    }))
                }
                Fact::Absent => {}
                Fact::Unobserved(reason) => more = Some(reason.clone()),
            }
        }
        if found.is_empty()
            && let Some(reason) = more
        {
            return Fact::Unobserved(reason);
        }
        found.sort_by(|one, two| key(one).cmp(&key(two)));
        found.dedup();
        if found.len() > MAX_LISTED {
            found.truncate(MAX_LISTED);
            more = Some(Reason::Truncated { at: MAX_LISTED as u64, what: "the listeners".into() });
        }
        Fact::Present(List { items: found, more })
    }

    /// Whether a TCP socket accepts connections to this address and port.
    pub fn accepts(&self, address: IpAddr, port: u16) -> Fact<bool> {
        self.tcp.as_ref().map(|table| has(table, address, port))
    }

    /// Whether a name server can be reached at this address: something is bound to port 53 of it.
    ///
    /// Docker's embedded server binds 127.0.0.11 at ports of its own and redirects port 53 of that address to them by netfilter inside the
    /// container's namespace (moby `libnetwork/resolver_unix.go`); at 127.0.0.11 a socket on any port is that server.
    pub fn serves_names(&self, address: IpAddr) -> Fact<bool> {
        let docker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
        let is_server = |table: &Vec<Bound>| {
            has(table, address, 53) || (address == docker && table.iter().any(|bound| bound.address == docker))
        };
        let (udp, tcp) = (self.udp.as_ref().map(is_server), self.tcp.as_ref().map(is_server));
        if udp == Fact::Present(true) || tcp == Fact::Present(true) {
            Fact::Present(true)
        } else {
            udp.and_then(|_| tcp)
        }
    }
}

/// Whether something answers, asked by a TCP connection that is closed at once. Netfilter may redirect a loopback port to a place where the
/// tables show no listener (published ports without docker-proxy), so a silent table alone proves nothing.
pub fn confirm_silence(address: IpAddr, port: u16) -> Fact<bool> {
    use std::io::ErrorKind;
    match std::net::TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT_LIMIT) {
        Ok(_) => Fact::Present(true),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::AddrNotAvailable => Fact::Present(false),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fact::Unobserved(Reason::TimedOut {
                after_ms: u64::try_from(CONNECT_LIMIT.as_millis()).unwrap_or(u64::MAX),
                waiting_for: SocketAddr::new(address, port).to_string(),
            }),
            kind => Fact::Unobserved(Reason::Unreadable {
                path: SocketAddr::new(address, port).to_string(),
                errno: kind.to_string(),
            }),
        },
    }
}

fn read_table(text: &Text, path: &str, which: Waiting) -> Fact<Vec<Bound>> {
    match text {
        Ok(text) => match proc_net::waiting(text, which) {
            Ok(found) => Fact::Present(found),
            Err(error) => Fact::Unobserved(Reason::Malformed {
                path: path.to_owned(),
                line: Some(error.line),
                detail: error.to_string(),
            }),
        },
        Err(LookError::NotFound { .. }) => Fact::Absent,
        Err(error) => Fact::Unobserved(reason(error.clone())),
    }
}

/// A kernel without IPv6 has no table for it; without the IPv4 table the process is gone.
fn both(v4: Fact<Vec<Bound>>, v6: Fact<Vec<Bound>>) -> Fact<Vec<Bound>> {
    match (v4, v6) {
        (Fact::Present(mut v4), Fact::Present(v6)) => {
            v4.extend(v6);
            Fact::Present(v4)
        }
        (Fact::Present(v4), Fact::Absent) => Fact::Present(v4),
        (Fact::Unobserved(reason), _) | (_, Fact::Unobserved(reason)) => Fact::Unobserved(reason),
        (Fact::Absent, _) => Fact::Unobserved(Reason::Vanished),
    }
}

/// The wildcard of IPv6 takes IPv4 connections too unless the socket forbids it (`ipv6(7)`, `IPV6_V6ONLY`), which the table does not
/// show; it is taken to, so that no listener is denied that may be there.
fn has(table: &[Bound], address: IpAddr, port: u16) -> bool {
    let address = canonical(address);
    table.iter().filter(|bound| bound.port == port).any(|bound| match (canonical(bound.address), address) {
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), _) | (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_)) => true,
        (bound, address) => bound == address,
    })
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_wildcard(address: IpAddr) -> bool {
    canonical(address).is_unspecified()
}

fn is_local(address: IpAddr) -> bool {
    canonical(address).is_loopback() || is_wildcard(address)
}

fn key(listener: &Listener) -> (&str, u16, &str) {
    (&listener.protocol, listener.port, &listener.address)
}

#[cfg(test)]
mod tests {
    use super::{Bound, Sockets, both, confirm_silence};
    use crate::snapshot::{Fact, Reason};

    fn bound(address: &str, port: u16) -> Bound {
        Bound { address: address.parse().expect("an address"), port }
    }

    fn tcp(table: Vec<Bound>) -> Sockets {
        Sockets { tcp: Fact::Present(table), udp: Fact::Present(Vec::new()) }
    }

    fn accepts(listener: &str, address: &str) -> Fact<bool> {
        tcp(vec![bound(listener, 9000)]).accepts(address.parse().expect("an address"), 9000)
    }

    #[test]
    fn a_listener_on_one_loopback_address_does_not_answer_for_another() {
        assert_eq!(accepts("127.0.0.1", "127.0.0.1"), Fact::Present(true));
        assert_eq!(accepts("127.0.0.1", "::1"), Fact::Present(false));
        assert_eq!(accepts("::1", "127.0.0.1"), Fact::Present(false));
        assert_eq!(accepts("127.0.0.1", "127.0.0.2"), Fact::Present(false));
    }

    #[test]
    fn wildcards_answer_for_their_family_and_the_one_of_ipv6_for_both() {
        assert_eq!(accepts("0.0.0.0", "127.0.0.1"), Fact::Present(true));
        assert_eq!(accepts("0.0.0.0", "::1"), Fact::Present(false));
        assert_eq!(accepts("::", "127.0.0.1"), Fact::Present(true));
        assert_eq!(accepts("::ffff:127.0.0.1", "127.0.0.1"), Fact::Present(true));
    }

    #[test]
    fn dockers_own_name_server_counts_at_any_port_and_nobody_elses_does() {
        let sockets =
            |address| Sockets { tcp: Fact::Present(Vec::new()), udp: Fact::Present(vec![bound(address, 41234)]) };
        let docker = "127.0.0.11".parse().expect("an address");
        assert_eq!(sockets("127.0.0.11").serves_names(docker), Fact::Present(true));
        assert_eq!(sockets("0.0.0.0").serves_names(docker), Fact::Present(false));
        assert_eq!(sockets("127.0.0.53").serves_names("127.0.0.53".parse().expect("an address")), Fact::Present(false));
    }

    #[test]
    fn a_table_that_could_not_be_read_leaves_silence_unobserved() {
        let gone = both(Fact::Absent, Fact::Absent);
        assert_eq!(gone, Fact::Unobserved(Reason::Vanished));
        let sockets = Sockets { tcp: gone, udp: Fact::Present(Vec::new()) };
        assert_eq!(sockets.accepts("127.0.0.1".parse().expect("an address"), 1), Fact::Unobserved(Reason::Vanished));
        assert_eq!(sockets.listeners(), Fact::Unobserved(Reason::Vanished));
    }

    #[test]
    fn a_closed_port_is_confirmed_and_an_open_one_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let open = listener.local_addr().expect("an address");
        assert_eq!(confirm_silence(open.ip(), open.port()), Fact::Present(true));
        drop(listener);
        assert_eq!(confirm_silence(open.ip(), open.port()), Fact::Present(false));
    }
}
