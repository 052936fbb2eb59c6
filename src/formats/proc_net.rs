//! `/proc/PID/net/{tcp,tcp6,udp,udp6}` (`proc_pid_net(5)`; kernel `net/ipv4/tcp_ipv4.c`, `net/ipv6/tcp_ipv6.c`): which sockets wait for others.
//!
//! Written here and not taken from procfs-core, which keeps every established connection in memory: a busy host has a hundred
//! thousand, and only those that wait are asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which sockets of a table wait for others: `TCP_LISTEN` of TCP, `TCP_CLOSE` (bound and not connected) of UDP (kernel `net/tcp_states.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    TcpListen,
    UdpBound,
}

/// One waiting socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// The local address; the unspecified one means every address.
    pub address: IpAddr,
    /// The local port.
    pub port: u16,
}

/// A line that does not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not a socket line")]
pub struct ProcNetError {
    /// 1-based.
    pub line: u32,
}

/// The waiting sockets of one table, in its order.
pub fn waiting(text: &[u8], which: Waiting) -> Result<Vec<Bound>, ProcNetError> {
    let mut found = Vec::new();
    // The first line is the heading.
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate().skip(1) {
        if line.is_empty() {
            continue;
        }
        let error = || ProcNetError { line: u32::try_from(index + 1).unwrap_or(u32::MAX) };
        let line = std::str::from_utf8(line).map_err(|_| error())?;
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
        let state = state.and_then(|state| u8::from_str_radix(state, 16).ok()).ok_or_else(error)?;
        let wanted = match which {
            Waiting::TcpListen => 0x0a,
            Waiting::UdpBound => 0x07,
        };
        if state == wanted {
            found.push(local.and_then(bound).ok_or_else(error)?);
        }
    }
    Ok(found)
}

fn bound(text: &str) -> Option<Bound> {
    let (address, port) = text.split_once(':')?;
    Some(Bound { address: self::address(address)?, port: u16::from_str_radix(port, 16).ok()? })
}

/// The kernel prints each 32-bit word of the address, which lies in memory in network order, as a number of its own byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Waiting, waiting};

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn hex(bytes: &[u8]) -> String {
        bytes
            .chunks(4)
            .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().expect("four bytes"))))
            .collect()
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let local = hex(&[127, 0, 0, 1]);
        let text = format!(
            "{HEADING}   0: {local}:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 1 1\n   \
             1: {local}:2329 {local}:0050 01 00000000:00000000 00:00000000 00000000  0 0 2 1\n"
        );
        let found = waiting(text.as_bytes(), Waiting::TcpListen).expect("a table");
        assert_eq!(found, [Bound { address: "127.0.0.1".parse().expect("an address"), port: 9000 }]);
    }

    #[test]
    fn the_words_of_an_ipv6_address_are_in_host_order() {
        let mut bytes = [0; 16];
        bytes[15] = 1;
        let text = format!("{HEADING}   0: {}:0035 {}:0000 07 0:0\n", hex(&bytes), hex(&[0; 16]));
        let found = waiting(text.as_bytes(), Waiting::UdpBound).expect("a table");
        assert_eq!(found, [Bound { address: "::1".parse().expect("an address"), port: 53 }]);
    }

    #[test]
    fn the_table_of_the_running_kernel_shows_our_own_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let own = listener.local_addr().expect("an address");
        let text = std::fs::read("/proc/self/net/tcp").expect("procfs");
        let found = waiting(&text, Waiting::TcpListen).expect("a table");
        assert!(found.contains(&Bound { address: own.ip(), port: own.port() }));
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number() {
        assert_eq!(waiting(b"heading\nnonsense\n", Waiting::TcpListen).map_err(|error| error.line), Err(2));
        assert_eq!(waiting(b"h\n 0: 7F\xc3:1 x 0A\n", Waiting::TcpListen).map_err(|error| error.line), Err(2));
    }
}
