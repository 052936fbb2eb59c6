//! netrc as curl reads it (`lib/netrc.c`, and "The .netrc file" in curl's manual): tokens, quoted tokens, comments, macros.
//!
//! Nix hands its `netrc-file` to curl, so curl's rules decide. An entry is found by host alone, never by port. Passwords are kept in
//! memory that is wiped; no error holds any text of the file. No I/O.

use secrecy::SecretString;

/// Most entries that are kept.
const MAX_ENTRIES: usize = 4096;

/// One entry. Its `Debug` form shows no password.
#[derive(Debug)]
pub struct Entry {
    /// The host, or `None` for the `default` entry.
    pub machine: Option<String>,
    /// The login name, if it has one.
    pub login: Option<String>,
    /// The password, if it has one.
    pub password: Option<SecretString>,
    /// 1-based line of `machine` or `default`.
    pub line: u32,
}

/// What a file holds: the entries before the first problem.
#[derive(Debug)]
pub struct Netrc {
    /// In the order of the file; the first that matches holds.
    pub entries: Vec<Entry>,
    /// Where curl stops.
    pub problem: Option<Problem>,
}

/// Why reading stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A quoted token has no end on its line.
    #[error("line {line}: a quoted token does not end")]
    OpenQuote { line: u32 },
    /// A token is not UTF-8.
    #[error("line {line}: not UTF-8")]
    NotText { line: u32 },
    /// More entries than are kept.
    #[error("line {line}: more entries than are read")]
    TooMany { line: u32 },
}

impl Problem {
    /// 1-based.
    pub fn line(&self) -> u32 {
        match self {
            Self::OpenQuote { line } | Self::NotText { line } | Self::TooMany { line } => *line,
        }
    }
}

/// What the next token is.
enum Expect {
    Keyword,
    Machine,
    Login,
    Password,
    /// The value of `account`, which nobody uses.
    Ignored,
    /// The name of a macro; its body reaches to the next blank line.
    Macro,
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Netrc {
    let mut netrc = Netrc { entries: Vec::new(), problem: None };
    let mut expect = Expect::Keyword;
    let mut in_macro = false;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if in_macro {
            in_macro = !line.trim_ascii().is_empty();
            continue;
        }
        let mut rest = line.trim_ascii();
        while !rest.is_empty() {
            // curl takes a line for a comment where a token could begin with the sign.
            if matches!(expect, Expect::Keyword) && rest.starts_with(b"#") {
                break;
            }
            let token = match token(&mut rest, number) {
                Ok(token) => token,
                Err(problem) => {
                    netrc.problem = Some(problem);
                    return netrc;
                }
            };
            expect = take(&mut netrc, expect, token, number, &mut in_macro);
            if netrc.problem.is_some() {
                return netrc;
            }
        }
    }
    netrc
}

fn take(netrc: &mut Netrc, expect: Expect, token: SecretString, line: u32, in_macro: &mut bool) -> Expect {
    use secrecy::ExposeSecret;
    match expect {
        Expect::Keyword => return keyword(netrc, token.expose_secret(), line),
        Expect::Machine => {
            if let Some(entry) = netrc.entries.last_mut() {
                entry.machine = Some(token.expose_secret().to_owned());
            }
        }
        Expect::Login => {
            if let Some(entry) = netrc.entries.last_mut() {
                entry.login = Some(token.expose_secret().to_owned());
            }
        }
        Expect::Password => {
            if let Some(entry) = netrc.entries.last_mut() {
                entry.password = Some(token);
            }
        }
        Expect::Macro => *in_macro = true,
        Expect::Ignored => {}
    }
    Expect::Keyword
}

fn keyword(netrc: &mut Netrc, word: &str, line: u32) -> Expect {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("machine") || is("default") {
        if netrc.entries.len() == MAX_ENTRIES {
            netrc.problem = Some(Problem::TooMany { line });
            return Expect::Keyword;
        }
        netrc.entries.push(Entry { machine: None, login: None, password: None, line });
        return if is("machine") { Expect::Machine } else { Expect::Keyword };
    }
    if is("login") {
        Expect::Login
    } else if is("password") {
        Expect::Password
    } else if is("account") {
        Expect::Ignored
    } else if is("macdef") {
        Expect::Macro
    } else {
        Expect::Keyword
    }
}

/// Takes one token off the front.
fn token(rest: &mut &[u8], line: u32) -> Result<SecretString, Problem> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        *rest = after.trim_ascii_start();
        return std::str::from_utf8(word).map(SecretString::from).map_err(|_| Problem::NotText { line });
    };
    // Reserved at once, so that growing leaves no copy of a password behind.
    let mut word = zeroize::Zeroizing::new(Vec::with_capacity(quoted.len()));
    let mut escaped = false;
    for (at, byte) in quoted.iter().enumerate() {
        match (escaped, byte) {
            (true, b'n') => word.push(b'\n'),
            (true, b'r') => word.push(b'\r'),
            (true, b't') => word.push(b'\t'),
            (true, other) => word.push(*other),
            (false, b'\\') => {}
            (false, b'"') => {
                *rest = quoted.get(at + 1..).unwrap_or_default().trim_ascii_start();
                return std::str::from_utf8(&word).map(SecretString::from).map_err(|_| Problem::NotText { line });
            }
            (false, other) => word.push(*other),
        }
        escaped = !escaped && *byte == b'\\';
    }
    Err(Problem::OpenQuote { line })
}

#[cfg(test)]
mod tests {
    use super::{Problem, parse};
    use secrecy::ExposeSecret;

    /// Machine, login, password and line, for comparing.
    fn plain(text: &str) -> Vec<(String, Option<String>, Option<String>, u32)> {
        let entry = |entry: super::Entry| {
            let password = entry.password.map(|password| password.expose_secret().to_owned());
            (entry.machine.unwrap_or_else(|| "default".to_owned()), entry.login, password, entry.line)
        };
        parse(text.as_bytes()).entries.into_iter().map(entry).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_entry_without_login_is_kept_with_its_password() {
        let read = plain("machine cache.example\npassword p1\nmachine b login u password p2 default login anonymous\n");
        assert_eq!(
            read,
            [
                ("cache.example".to_owned(), None, some("p1"), 1),
                ("b".to_owned(), some("u"), some("p2"), 3),
                ("default".to_owned(), some("anonymous"), None, 3),
            ]
        );
    }

    #[test]
    fn a_password_that_looks_like_a_keyword_or_a_comment_is_a_password() {
        let read = plain("machine a login login password #machine\n# machine hidden password x\nmachine b");
        assert_eq!(read[0], ("a".to_owned(), some("login"), some("#machine"), 1));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_quoted_token_holds_blanks_and_escapes() {
        let read = plain(r#"machine a password "two \"words\"\tx\\" login u"#);
        assert_eq!(read, [("a".to_owned(), some("u"), some("two \"words\"\tx\\"), 1)]);
    }

    #[test]
    fn a_macro_hides_what_stands_in_it_up_to_the_blank_line() {
        let read = plain("macdef init\nmachine no password no\n\nmachine yes password p\n");
        assert_eq!(read, [("yes".to_owned(), None, some("p"), 4)]);
    }

    #[test]
    fn an_open_quote_ends_the_reading_and_what_came_before_stays() {
        let read = parse(b"machine a password p\nmachine b password \"open\nmachine c");
        assert_eq!(read.problem, Some(Problem::OpenQuote { line: 2 }));
        assert_eq!(read.entries.len(), 2);
        assert!(!format!("{read:?}").contains("open"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
