//! The interfaces of the joined namespace, over netlink (`getifaddrs(3)`): the loopback one, and the addresses of all. Reads no file.

use std::net::IpAddr;

use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrLike;

use crate::snapshot::facts::Loopback;
use crate::snapshot::{Fact, Reason};

/// The most addresses that a snapshot holds.
const MOST: usize = 1024;

/// Whether `lo` is up and which addresses it has.
pub fn observe(joined: &Fact<()>) -> Loopback {
    let interfaces = match interfaces(joined) {
        Ok(interfaces) => interfaces,
        Err(reason) => {
            return Loopback { up: Fact::Unobserved(reason.clone()), addresses: Fact::Unobserved(reason) };
        }
    };
    let own = || interfaces.iter().filter(|interface| interface.interface_name == "lo");
    let up = own().map(|interface| interface.flags.contains(InterfaceFlags::IFF_UP)).next_back();
    let addresses = up.is_some().then(|| texts(own().filter_map(address)));
    Loopback { up: up.into(), addresses: addresses.into() }
}

/// The addresses of all interfaces, sorted.
pub fn all_addresses(joined: &Fact<()>) -> Fact<Vec<String>> {
    match interfaces(joined) {
        Ok(interfaces) if interfaces.len() > MOST => {
            Fact::Unobserved(Reason::Truncated { at: MOST as u64, what: "the addresses of the interfaces".into() })
        }
        Ok(interfaces) => Fact::Present(texts(interfaces.iter().filter_map(address))),
        Err(reason) => Fact::Unobserved(reason),
    }
}

fn interfaces(joined: &Fact<()>) -> Result<Vec<nix::ifaddrs::InterfaceAddress>, Reason> {
    if let Fact::Unobserved(reason) = joined {
        return Err(reason.clone());
    }
    let unreadable =
        |errno| Reason::Unreadable { path: "the interfaces (rtnetlink)".into(), errno: format!("{errno:?}") };
    // One more than is kept, to know that there are more.
    nix::ifaddrs::getifaddrs().map(|found| found.take(MOST + 1).collect()).map_err(unreadable)
}

fn address(interface: &nix::ifaddrs::InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address.as_ref()?;
    match address.family() {
        Some(nix::sys::socket::AddressFamily::Inet) => address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip())),
        Some(nix::sys::socket::AddressFamily::Inet6) => address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())),
        _ => None,
    }
}

fn texts(addresses: impl Iterator<Item = IpAddr>) -> Vec<String> {
    let mut texts: Vec<String> = addresses.map(|address| address.to_string()).collect();
    texts.sort();
    texts.dedup();
    texts
}
