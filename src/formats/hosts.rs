//! `/etc/hosts` (`hosts(5)`; glibc `nss/nss_files/files-hosts.c`, musl `src/network/lookup_name.c`): addresses of names.
//!
//! Total and bounded: a line without a valid address is skipped, as both C libraries skip it.

use std::net::IpAddr;

/// The most lines that are kept; block lists run to hundreds of thousands.
const MAX_LINES: usize = 500_000;
/// musl reads lines of at most this many bytes and takes the rest for a line of its own.
const MUSL_LINE: usize = 511;
/// The most addresses that musl takes for one name (`MAXADDRS`).
const MUSL_ADDRESSES: usize = 48;

/// The file, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    text: Vec<u8>,
}

/// Whose way of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Names are compared without regard to case.
    Glibc,
    /// Names are compared byte by byte.
    Musl,
}

impl Hosts {
    /// Takes the text over; lines are read when a name is asked for.
    pub fn new(text: Vec<u8>) -> Self {
        Self { text }
    }

    /// The addresses of a name, in the order of the file and each once. Empty when no line names it.
    pub fn addresses(&self, name: &str, reader: Reader) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for line in self.text.split(|byte| *byte == b'\n').take(MAX_LINES) {
            if reader == Reader::Musl && (line.len() > MUSL_LINE || found.len() == MUSL_ADDRESSES) {
                continue;
            }
            if let Some(address) = address_for(line, name, reader)
                && !found.contains(&address)
            {
                found.push(address);
            }
        }
        found
    }
}

fn address_for(line: &[u8], name: &str, reader: Reader) -> Option<IpAddr> {
    let line = line.split(|byte| *byte == b'#').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let address = words.next()?;
    let same = |word: &str| match reader {
        Reader::Glibc => word.eq_ignore_ascii_case(name),
        Reader::Musl => word == name,
    };
    words.any(same).then_some(())?;
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Hosts, Reader};
    use std::net::IpAddr;

    fn addresses(text: &str, name: &str, reader: Reader) -> Vec<String> {
        Hosts::new(text.as_bytes().to_vec()).addresses(name, reader).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn every_line_that_names_it_counts_once_and_in_order() {
        let text = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # localhost2\n127.0.0.1 localhost\n10.0.0.9 x localhost\n";
        assert_eq!(addresses(text, "localhost", Reader::Glibc), ["127.0.0.1", "::1", "10.0.0.9"]);
        assert_eq!(addresses(text, "localhost2", Reader::Glibc), [""; 0]);
    }

    #[test]
    fn case_matters_to_musl_alone() {
        assert_eq!(addresses("10.0.0.1 Cache\n", "cache", Reader::Glibc), ["10.0.0.1"]);
        assert_eq!(addresses("10.0.0.1 Cache\n", "cache", Reader::Musl), [""; 0]);
    }

    #[test]
    fn a_line_without_an_address_is_skipped() {
        assert_eq!(
            addresses("cache 10.0.0.1\n300.1.1.1 cache\n10.0.0.2 cache\n", "cache", Reader::Glibc),
            ["10.0.0.2"]
        );
    }
}
