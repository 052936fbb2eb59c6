//! `/proc/PID/net/{tcp,tcp6}` as far as sockets listen (`proc_pid_net(5)`).
//!
//! At the end of the listening sockets the kernel goes through its table of the connections of all namespaces to find those of this one
//! (`tcp_get_idx` and `established_get_first` in `net/ipv4/tcp_ipv4.c`): milliseconds where there is much memory, for each reading. So nothing is read
//! where the namespace has no TCP socket at all, and no further than to its first connection.

use super::process::{ProcessDirectory, Text};

/// The heading and the listening sockets of a table, and perhaps some connections after them.
pub(super) fn listening(directory: &ProcessDirectory, table: &str) -> Text {
    let counters = match table {
        "tcp6" => ("net/sockstat6", "TCP6: inuse "),
        _ => ("net/sockstat", "TCP: inuse "),
    };
    // Where the counters can't be read, the table says what there is.
    if directory.text(counters.0).is_ok_and(|text| are_none(&text, counters.1)) {
        return Ok(Vec::new());
    }
    let mut text = directory.text_until(&format!("net/{table}"), has_connection)?;
    // Where reading ended early, it may have ended within a line.
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(text)
}

/// Whether the counters of this namespace (`sockstat_seq_show` in `net/ipv4/proc.c`) say that it has no such socket.
fn are_none(counters: &[u8], label: &str) -> bool {
    let mut lines = counters.split(|byte| *byte == b'\n');
    let count = lines.find_map(|line| line.strip_prefix(label.as_bytes()));
    count.is_some_and(|count| count == b"0" || count.starts_with(b"0 "))
}

/// Whether the last whole line of a table is that of a socket that does not listen (`TCP_LISTEN` in `net/tcp_states.h`); none that listens follows it.
fn has_connection(text: &[u8]) -> bool {
    let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else { return false };
    let whole = text.get(..end).unwrap_or_default();
    let mut lines = whole.rsplit(|byte| *byte == b'\n');
    let last = lines.next().unwrap_or_default();
    // The first line is the heading.
    let state = last.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(3);
    lines.next().is_some() && state.is_some_and(|state| state != b"0A")
}

#[cfg(test)]
mod tests {
    use super::{ProcessDirectory, are_none, has_connection, listening};

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const LISTENS: &str =
        "   0: 0100007F:0063 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5803592 1\n";
    const CONNECTED: &str =
        "   1: 0100007F:0063 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 5803593 1\n";

    #[test]
    fn a_table_is_read_as_far_as_its_first_connection_and_half_a_line_says_nothing() {
        let ends = |text: &str| has_connection(text.as_bytes());
        assert!(!ends("") && !ends(HEADING) && !ends(&format!("{HEADING}{LISTENS}")));
        assert!(ends(&format!("{HEADING}{LISTENS}{CONNECTED}")) && ends(&format!("{HEADING}{CONNECTED}")));
        assert!(!ends(&format!("{HEADING}{LISTENS}{}", CONNECTED.trim_end())));
    }

    #[test]
    fn only_a_counter_that_is_zero_stands_for_an_empty_table() {
        let none = |text: &str| are_none(text.as_bytes(), "TCP: inuse ");
        assert!(none("sockets: used 2\nTCP: inuse 0 orphan 0 tw 0 alloc 1 mem 162\nUDP: inuse 0 mem 0\n"));
        assert!(!none("TCP: inuse 1 orphan 0\n") && !none("TCP: inuse 01\n") && !none("TCP6: inuse 0\n") && !none(""));
    }

    #[test]
    fn every_listener_of_this_process_is_in_its_table_with_and_without_connections() {
        let own = ProcessDirectory::open(std::process::id()).expect("/proc");
        let sockets: Vec<_> = (0..200).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let seen = || String::from_utf8(listening(&own, "tcp").expect("a table")).expect("text");
        let all = |text: &str| {
            let port =
                |socket: &std::net::TcpListener| format!(":{:04X} ", socket.local_addr().expect("an address").port());
            sockets.iter().all(|socket| text.contains(&port(socket)))
        };
        assert!(all(&seen()));
        let address = sockets[0].local_addr().expect("an address");
        let connections: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).expect("connected")).collect();
        assert!(all(&seen()));
        drop(connections);
    }
}
