//! The loopback interface of the joined namespace, over netlink (`getifaddrs(3)`); reads no file.

use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrLike;

use crate::snapshot::facts::Loopback;
use crate::snapshot::{Fact, Reason};

/// Whether `lo` is up and which addresses it has.
pub fn observe(joined: &Fact<()>) -> Loopback {
    if let Fact::Unobserved(reason) = joined {
        return Loopback { up: Fact::Unobserved(reason.clone()), addresses: Fact::Unobserved(reason.clone()) };
    }
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces.filter(|interface| interface.interface_name == "lo"),
        Err(errno) => {
            let reason = Reason::Unreadable { path: "the interfaces (rtnetlink)".into(), errno: format!("{errno:?}") };
            return Loopback { up: Fact::Unobserved(reason.clone()), addresses: Fact::Unobserved(reason) };
        }
    };
    let (mut up, mut addresses) = (Fact::Absent, Vec::new());
    for interface in interfaces {
        up = Fact::Present(interface.flags.contains(InterfaceFlags::IFF_UP));
        let Some(address) = interface.address else { continue };
        match address.family() {
            Some(nix::sys::socket::AddressFamily::Inet) => {
                addresses.extend(address.as_sockaddr_in().map(|address| address.ip().to_string()));
            }
            Some(nix::sys::socket::AddressFamily::Inet6) => {
                addresses.extend(address.as_sockaddr_in6().map(|address| address.ip().to_string()));
            }
            _ => {}
        }
    }
    addresses.sort();
    addresses.dedup();
    let addresses = if up == Fact::Absent { Fact::Absent } else { Fact::Present(addresses) };
    Loopback { up, addresses }
}
