//! `/proc/PID/net/route` (`proc_pid_net(5)`; kernel `net/ipv4/fib_trie.c`, `fib_route_seq_show`): where packets go that no nearer route takes.

use std::net::Ipv4Addr;

/// `RTF_UP` and `RTF_GATEWAY` (`linux/route.h`).
const UP_THROUGH_GATEWAY: u32 = 0x1 | 0x2;
/// The most gateways that are kept.
const MOST: usize = 16;

/// A line that does not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not a route")]
pub struct ProcRouteError {
    /// 1-based.
    pub line: u32,
}

/// The gateways of the default routes, in the order of the table, each once.
pub fn default_gateways(text: &[u8]) -> Result<Vec<Ipv4Addr>, ProcRouteError> {
    let mut found = Vec::new();
    // The first line is the heading.
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate().skip(1) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let error = || ProcRouteError { line: u32::try_from(index + 1).unwrap_or(u32::MAX) };
        let line = std::str::from_utf8(line).map_err(|_| error())?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| u32::from_str_radix(field, 16).ok());
        let [destination, gateway, flags, mask] = [1, 2, 3, 7].map(number);
        let (Some(destination), Some(gateway), Some(flags), Some(mask)) = (destination, gateway, flags, mask) else {
            return Err(error());
        };
        // The kernel prints addresses as they lie in memory, in network order.
        let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
        let is_default = destination == 0 && mask == 0 && flags & UP_THROUGH_GATEWAY == UP_THROUGH_GATEWAY;
        if is_default && !found.contains(&gateway) && found.len() < MOST {
            found.push(gateway);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{ProcRouteError, default_gateways};
    use std::net::Ipv4Addr;

    const HEADING: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn the_gateway_of_a_default_route_is_told_and_that_of_a_network_is_not() {
        let table = format!(
            "{HEADING}eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\neth1\t00000A0A\t0100A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        );
        assert_eq!(default_gateways(table.as_bytes()), Ok(vec![Ipv4Addr::new(172, 17, 0, 1)]));
    }

    #[test]
    fn a_table_without_routes_has_none_and_a_foreign_line_is_told() {
        assert_eq!(default_gateways(HEADING.as_bytes()), Ok(Vec::new()));
        assert_eq!(default_gateways(b""), Ok(Vec::new()));
        let foreign = format!("{HEADING}eth0\tnonsense\n");
        assert_eq!(default_gateways(foreign.as_bytes()), Err(ProcRouteError { line: 2 }));
        assert!(default_gateways(b"h\n\xff\xfe\n").is_err());
    }
}
