//! The opening of the Nix worker protocol (`src/libstore/worker-protocol.hh`, `remote-store.cc`): what a client sends, and
//! how the daemon's answer reads. Every number is 64 bits, little-endian; a string is its length, its bytes, and zeros up to a multiple of eight.
//!
//! The client offers protocol 1.35: every daemon that speaks at least 1.33 then tells its version, from 1.35 its view of our trust,
//! and none asks for the exchange of features that 1.38 added. Works on any byte stream; deadlines are the caller's matter.

use std::io::Read;

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const SERVER_MAGIC: u64 = 0x6478_696f;
const STDERR_LAST: u64 = 0x616c_7473;
const STDERR_NEXT: u64 = 0x6f6c_6d67;
const STDERR_ERROR: u64 = 0x6378_7470;

/// The protocol that is offered, 1.35.
pub const OFFERED: Protocol = Protocol { major: 1, minor: 35 };

/// Longest string that is read; a version is a few dozen bytes.
const LONGEST: u64 = 512;
/// Most log lines that are read past before the end of the greeting.
const MOST_MESSAGES: usize = 16;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol {
    pub major: u8,
    pub minor: u8,
}

impl Protocol {
    fn word(self) -> u64 {
        u64::from(self.major) << 8 | u64::from(self.minor)
    }

    fn of(word: u64) -> Option<Self> {
        let major = u8::try_from(word >> 8).ok()?;
        Some(Self { major, minor: u8::try_from(word & 0xff).ok()? })
    }
}

/// How the daemon sees the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Unknown,
    Trusted,
    Untrusted,
}

/// The daemon's answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// What the daemon offers.
    pub protocol: Protocol,
    /// Its Nix version; `None` below protocol 1.33.
    pub version: Option<String>,
    /// `None` below protocol 1.35.
    pub trust: Option<Trust>,
}

/// Why there is no greeting.
#[derive(Debug, thiserror::Error)]
pub enum GreetingError {
    /// The stream ended or failed.
    #[error("the stream broke off: {0}")]
    Stream(#[from] std::io::Error),
    /// The peer speaks something else.
    #[error("not the worker protocol: {0}")]
    Foreign(&'static str),
    /// The daemon refuses, in its words.
    #[error("refused: {0}")]
    Refused(String),
}

/// What the client sends first.
pub fn hello() -> Vec<u8> {
    [CLIENT_MAGIC, OFFERED.word()].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// What the client sends once it knows the daemon's protocol: no CPU affinity (from 1.14), no reserved space (from 1.11).
pub fn answer(server: Protocol) -> Vec<u8> {
    let words = match server.min(OFFERED) {
        agreed if agreed >= (Protocol { major: 1, minor: 14 }) => 2,
        agreed if agreed >= (Protocol { major: 1, minor: 11 }) => 1,
        _ => 0,
    };
    vec![0; words * 8]
}

/// Reads the daemon's magic and protocol.
pub fn read_protocol(stream: &mut impl Read) -> Result<Protocol, GreetingError> {
    if number(stream)? != SERVER_MAGIC {
        return Err(GreetingError::Foreign("another magic number"));
    }
    let protocol = Protocol::of(number(stream)?).ok_or(GreetingError::Foreign("an impossible version"))?;
    if protocol.major != OFFERED.major {
        return Err(GreetingError::Foreign("another major version"));
    }
    Ok(protocol)
}

/// Reads the rest of the greeting, after [`answer`] was sent.
pub fn read_greeting(stream: &mut impl Read, protocol: Protocol) -> Result<Greeting, GreetingError> {
    let agreed = protocol.min(OFFERED);
    let version = if agreed.minor >= 33 { Some(string(stream)?) } else { None };
    let trust = if agreed.minor >= 35 {
        Some(match number(stream)? {
            0 => Trust::Unknown,
            1 => Trust::Trusted,
            2 => Trust::Untrusted,
            _ => return Err(GreetingError::Foreign("an impossible trust flag")),
        })
    } else {
        None
    };
    for _ in 0..MOST_MESSAGES {
        match number(stream)? {
            STDERR_LAST => return Ok(Greeting { protocol, version, trust }),
            STDERR_NEXT => drop(string(stream)?),
            STDERR_ERROR => return Err(GreetingError::Refused(error(stream, agreed)?)),
            _ => return Err(GreetingError::Foreign("a message that does not belong to the greeting")),
        }
    }
    Err(GreetingError::Foreign("no end of log lines"))
}

/// The message of an error; since 1.26 it is preceded by a type, a level and a name.
fn error(stream: &mut impl Read, agreed: Protocol) -> Result<String, GreetingError> {
    if agreed.minor >= 26 {
        string(stream)?;
        number(stream)?;
        string(stream)?;
    }
    string(stream)
}

fn number(stream: &mut impl Read) -> Result<u64, GreetingError> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn string(stream: &mut impl Read) -> Result<String, GreetingError> {
    let length = number(stream)?;
    if length > LONGEST {
        return Err(GreetingError::Foreign("a string that is too long"));
    }
    let length = usize::try_from(length).map_err(|_| GreetingError::Foreign("a string that is too long"))?;
    let mut bytes = vec![0; length.next_multiple_of(8)];
    stream.read_exact(&mut bytes)?;
    if bytes.iter().skip(length).any(|byte| *byte != 0) {
        return Err(GreetingError::Foreign("padding that is not zero"));
    }
    bytes.truncate(length);
    // Foreign text: nothing in it may steer a terminal.
    Ok(String::from_utf8_lossy(&bytes).chars().filter(|letter| !letter.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Greeting, GreetingError, Protocol, Trust, answer, hello, read_greeting, read_protocol};

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = words(&[text.len() as u64]);
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn converse(bytes: &[u8]) -> Result<Greeting, GreetingError> {
        let mut stream = bytes;
        let protocol = read_protocol(&mut stream)?;
        read_greeting(&mut stream, protocol)
    }

    #[test]
    fn the_greeting_of_2_8_tells_its_version_and_no_trust() {
        let bytes = [words(&[0x6478_696f, 0x122]), text("2.8.0"), words(&[0x616c_7473])].concat();
        let protocol = Protocol { major: 1, minor: 34 };
        let expected = Greeting { protocol, version: Some("2.8.0".into()), trust: None };
        assert_eq!(converse(&bytes).expect("a greeting"), expected);
        assert_eq!(answer(protocol).len(), 16);
        assert_eq!(hello(), [0x63, 0x78, 0x69, 0x6e, 0, 0, 0, 0, 0x23, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn newer_daemons_tell_whether_they_trust_us_and_ask_for_no_features() {
        let bytes = [words(&[0x6478_696f, 0x126]), text("2.24.9"), words(&[2, 0x616c_7473])].concat();
        assert_eq!(converse(&bytes).expect("a greeting").trust, Some(Trust::Untrusted));
    }

    #[test]
    fn a_daemon_older_than_1_33_tells_nothing_of_itself() {
        let bytes = words(&[0x6478_696f, 0x115, 0x616c_7473]);
        assert_eq!(converse(&bytes).expect("a greeting").version, None);
    }

    #[test]
    fn a_hostile_server_is_refused_before_memory_is_taken() {
        let endless = words(&[0x6478_696f, 0x122, u64::MAX]);
        assert!(matches!(converse(&endless), Err(GreetingError::Foreign(_))));
        let chatty = [words(&[0x6478_696f, 0x115]), [words(&[0x6f6c_6d67]), text("x")].concat().repeat(99)].concat();
        assert!(matches!(converse(&chatty), Err(GreetingError::Foreign(_))));
        assert!(matches!(converse(b"HTTP/1.1 400 Bad Request"), Err(GreetingError::Foreign(_))));
        assert!(matches!(converse(&words(&[0x6478_696f])), Err(GreetingError::Stream(_))));
    }

    #[test]
    fn a_refusal_is_in_the_daemons_words_without_control_characters() {
        let bytes =
            [words(&[0x6478_696f, 0x122]), text("2.8.0"), words(&[0x6378_7470]), text("Error"), words(&[0]), text("E")];
        let bytes = [bytes.concat(), text("go \x1b[31maway")].concat();
        assert!(matches!(converse(&bytes), Err(GreetingError::Refused(text)) if text == "go [31maway"));
    }
}
