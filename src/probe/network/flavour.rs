//! The order in which a C library asks its sources, and where its search ends. Pure: DNS is asked through a closure.
//!
//! Looked up as `getaddrinfo(3)` does for both families at once (`AF_UNSPEC`): the first source that has an address of either family decides for both.
//! No libc here knows `localhost` by itself: without a line in the hosts file, or `myhostname`, the question goes to the name server.

use std::net::IpAddr;

use super::sources::{Flavour, Sources};
use crate::formats::hosts::Reader;
use crate::formats::nsswitch::{Action, Service, Status};
use crate::snapshot::{Fact, Reason};

/// What a source said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Addresses of at least one family.
    Found { v4: Fact<Vec<String>>, v6: Fact<Vec<String>>, source: &'static str },
    /// No addresses, and why.
    Nothing(Status),
    /// It could not be asked.
    Unknown(Reason),
}

/// What a name means to one flavour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub v4: Fact<Vec<String>>,
    pub v6: Fact<Vec<String>>,
    pub source: Fact<String>,
}

impl Answer {
    /// Nobody knows the name.
    pub fn nothing() -> Self {
        Self { v4: Fact::Absent, v6: Fact::Absent, source: Fact::Absent }
    }

    /// It could not be found out.
    pub fn unknown(reason: &Reason) -> Self {
        Self {
            v4: Fact::Unobserved(reason.clone()),
            v6: Fact::Unobserved(reason.clone()),
            source: Fact::Unobserved(reason.clone()),
        }
    }
}

/// Looks a name up as this flavour does. `dns` is called at most once.
pub fn look_up(sources: &Sources, flavour: Flavour, name: &str, dns: &mut dyn FnMut() -> Step) -> Answer {
    let services = match flavour {
        // musl asks the same two and stops at the first that answers; what a missing answer means is in its DNS step.
        Flavour::Musl | Flavour::Nix => crate::formats::nsswitch::default_hosts(),
        // Go falls back to files and DNS for most lines that it does not take as they are; which ones differs between its releases.
        Flavour::Go => match sources.services.as_ref() {
            Fact::Present(services) if *services == crate::formats::nsswitch::default_hosts() => services.clone(),
            Fact::Absent => crate::formats::nsswitch::default_hosts(),
            Fact::Present(_) => {
                let what = "nsswitch.conf for a program without a C library".to_owned();
                return Answer::unknown(&Reason::NotEmulated { what });
            }
            Fact::Unobserved(reason) => return Answer::unknown(&reason),
        },
        Flavour::Glibc => {
            match &sources.nscd {
                Fact::Present(true) => {
                    return Answer::unknown(&Reason::NotEmulated { what: "nscd (/var/run/nscd/socket)".into() });
                }
                Fact::Unobserved(reason) => return Answer::unknown(reason),
                Fact::Present(false) | Fact::Absent => {}
            }
            match sources.services.as_ref() {
                Fact::Present(services) => services.clone(),
                Fact::Absent => crate::formats::nsswitch::default_hosts(),
                Fact::Unobserved(reason) => return Answer::unknown(&reason),
            }
        }
    };
    walk(sources, flavour, name, &services, dns)
}

fn walk(
    sources: &Sources,
    flavour: Flavour,
    name: &str,
    services: &[Service],
    dns: &mut dyn FnMut() -> Step,
) -> Answer {
    for service in services {
        let status = match module(sources, flavour, name, service, dns) {
            Step::Unknown(reason) => return Answer::unknown(&reason),
            Step::Found { v4, v6, source } => {
                if service.action(Status::Success) == Action::Return {
                    return Answer { v4, v6, source: Fact::Present(source.to_owned()) };
                }
                let what = format!("[SUCCESS=…] after {} in nsswitch.conf", service.module);
                return Answer::unknown(&Reason::NotEmulated { what });
            }
            Step::Nothing(status) => status,
        };
        if service.action(status) == Action::Return {
            return Answer::nothing();
        }
    }
    Answer::nothing()
}

fn module(sources: &Sources, flavour: Flavour, name: &str, service: &Service, dns: &mut dyn FnMut() -> Step) -> Step {
    let not_emulated = || Step::Unknown(Reason::NotEmulated { what: format!("the NSS module {}", service.module) });
    match service.module.as_str() {
        "files" => files(sources, flavour, name),
        "dns" if flavour == Flavour::Glibc && sources.host_aliases && !name.contains('.') => {
            Step::Unknown(Reason::NotEmulated { what: "HOSTALIASES".into() })
        }
        "dns" => dns(),
        // glibc takes a module that it can't load for one that is not available (nsswitch.conf(5)).
        module if sources.missing_modules.contains(module) => Step::Nothing(Status::Unavailable),
        "myhostname" => my_host_name(sources, name),
        // The minimal modules take no other names than those of one label below .local (nss-mdns, "mdns_minimal").
        "mdns_minimal" | "mdns4_minimal" | "mdns6_minimal" if !is_below_local(name) => {
            Step::Nothing(Status::Unavailable)
        }
        // Which of the two it reports for a name that it does not know changed between versions.
        "mymachines" if service.action(Status::NotFound) == service.action(Status::Unavailable) => {
            match &sources.machines {
                Fact::Present(machines) if !machines.iter().any(|machine| machine == name) => {
                    Step::Nothing(Status::Unavailable)
                }
                _ => not_emulated(),
            }
        }
        "resolve" if sources.resolved == Fact::Present(false) => Step::Nothing(Status::Unavailable),
        _ => not_emulated(),
    }
}

fn files(sources: &Sources, flavour: Flavour, name: &str) -> Step {
    let reader = if flavour == Flavour::Musl { Reader::Musl } else { Reader::Glibc };
    match &sources.hosts {
        Fact::Present(hosts) => {
            let mut addresses = hosts.addresses(name, reader);
            if !matches!(flavour, Flavour::Musl | Flavour::Go) && addresses.len() > 1 {
                match &sources.multi {
                    Fact::Present(true) => {}
                    Fact::Present(false) | Fact::Absent => addresses.truncate(1),
                    Fact::Unobserved(reason) => return Step::Unknown(reason.clone()),
                }
            }
            found(addresses, "files", Status::NotFound)
        }
        Fact::Absent => Step::Nothing(Status::Unavailable),
        Fact::Unobserved(reason) => Step::Unknown(reason.clone()),
    }
}

/// `nss-myhostname(8)`: `localhost` and what lies below it are loopback. Its answers for the own host name and the gateways depend on the
/// routing table and are not emulated.
fn my_host_name(sources: &Sources, name: &str) -> Step {
    let bare = name.trim_end_matches('.').to_ascii_lowercase();
    let is_localhost = ["localhost", "localhost.localdomain"]
        .iter()
        .any(|known| bare == *known || bare.strip_suffix(known).is_some_and(|front| front.ends_with('.')));
    if is_localhost {
        // Whether it gives ::1 where IPv6 is switched off depends on its version.
        let v6 = Reason::NotEmulated { what: "whether nss-myhostname takes IPv6 for enabled".into() };
        return Step::Found {
            v4: Fact::Present(vec!["127.0.0.1".into()]),
            v6: if has_loopback_six() { Fact::Present(vec!["::1".into()]) } else { Fact::Unobserved(v6) },
            source: "myhostname",
        };
    }
    let special = matches!(bare.as_str(), "_gateway" | "_outbound" | "_localdnsstub" | "_localdnsproxy");
    match &sources.own_name {
        _ if special => {}
        Fact::Present(own) if *own != bare => return Step::Nothing(Status::NotFound),
        // Without /etc/hostname the own name is what the kernel holds; it is not looked at.
        _ => {}
    }
    Step::Unknown(Reason::NotEmulated { what: "nss-myhostname for the own host name".into() })
}

/// Whether a socket can be bound to ::1 here.
fn has_loopback_six() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

fn is_below_local(name: &str) -> bool {
    name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

/// Splits addresses by family. A source with one family answers for both: the other has none.
pub fn found(addresses: Vec<IpAddr>, source: &'static str, otherwise: Status) -> Step {
    if addresses.is_empty() {
        return Step::Nothing(otherwise);
    }
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let texts = |addresses: Vec<IpAddr>| {
        let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        if texts.is_empty() { Fact::Absent } else { Fact::Present(texts) }
    };
    Step::Found { v4: texts(v4), v6: texts(v6), source }
}

#[cfg(test)]
#[path = "flavour_tests.rs"]
mod tests;
