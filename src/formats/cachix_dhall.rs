//! The configuration of cachix' client, `cachix.dhall` (`cachix/cachix`, `cachix/src/Cachix/Client/Config.hs`): one record that cachix itself writes.
//!
//! Dhall is a language, with functions and imports of files, variables and URLs. What cachix writes is a literal, and a literal is all that is read here:
//! `{ authToken : Text, hostname : Text, binaryCaches : List { name : Text, secretKey : Text } }`. Everything else is malformed, with its line; nothing
//! is evaluated and nothing imported. Tokens and keys are kept in memory that is wiped; no error holds any text of the file. No I/O.

use zeroize::Zeroizing;

/// The most caches that are kept.
const MAX_CACHES: usize = 256;

/// What the file says.
#[derive(Default)]
pub struct CachixConfig {
    /// None where it is empty.
    pub auth_token: Option<Zeroizing<String>>,
    /// Of the server, with a scheme.
    pub hostname: Option<String>,
    pub caches: Vec<CachixSecret>,
    /// Whether there are more than are kept.
    pub more: bool,
}

/// The key by which uploads to one cache are signed.
pub struct CachixSecret {
    pub name: String,
    /// base64 of the seed and the public key.
    pub secret_key: Zeroizing<String>,
}

/// Why a text is no such configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the record that cachix writes")]
pub struct CachixDhallError {
    /// 1-based.
    pub line: u32,
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Result<CachixConfig, CachixDhallError> {
    let text = std::str::from_utf8(text).map_err(|_| CachixDhallError { line: 1 })?;
    let mut reader = Reader { text, at: 0 };
    let config = reader.config().and_then(|config| {
        reader.skip()?;
        if reader.at == text.len() { Some(config) } else { None }
    });
    config.ok_or_else(|| {
        let lines = text.as_bytes().iter().take(reader.at).filter(|byte| **byte == b'\n').count();
        CachixDhallError { line: u32::try_from(lines + 1).unwrap_or(u32::MAX) }
    })
}

/// A place in the text. Every step ends at a place from which it can be said what is wrong.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes over blanks and comments; nothing where a comment does not end.
    fn skip(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let rest = rest.get(blanks..)?;
            let comment = if rest.starts_with("--") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("{-") {
                block(rest)?
            } else {
                0
            };
            self.at += blanks + comment;
            if comment == 0 {
                return Some(());
            }
        }
    }

    /// Takes this sign, if it comes next.
    fn takes(&mut self, sign: char) -> Option<bool> {
        self.skip()?;
        let is_next = self.rest().starts_with(sign);
        self.at += if is_next { sign.len_utf8() } else { 0 };
        Some(is_next)
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.takes(sign)?.then_some(())
    }

    fn label(&mut self) -> Option<String> {
        self.skip()?;
        let quoted = self.takes('`')?;
        let rest = self.rest();
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let label = rest.get(..end).filter(|label| !label.is_empty() && label.len() <= 64)?.to_owned();
        self.at += end;
        if quoted {
            self.sign('`')?;
        }
        Some(label)
    }

    /// The fields of a record, each read by `field`, which says no to one that it does not know or has already.
    fn record(&mut self, mut field: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.sign('{')?;
        self.takes(',')?;
        while !self.takes('}')? {
            let label = self.label()?;
            self.sign('=')?;
            field(self, &label)?;
            if !self.takes(',')? {
                return self.sign('}');
            }
        }
        Some(())
    }

    fn config(&mut self) -> Option<CachixConfig> {
        let (mut token, mut hostname, mut caches) = (None, None, None);
        self.record(|reader, label| match label {
            "authToken" => once(&mut token, || reader.string()),
            "hostname" => once(&mut hostname, || reader.string()),
            "binaryCaches" => once(&mut caches, || reader.caches()),
            _ => None,
        })?;
        let (caches, more) = caches.unwrap_or_default();
        let filled = |text: Option<Zeroizing<String>>| text.filter(|text| !text.is_empty());
        let hostname = filled(hostname).map(|text| text.as_str().to_owned());
        Some(CachixConfig { auth_token: filled(token), hostname, caches, more })
    }

    fn caches(&mut self) -> Option<(Vec<CachixSecret>, bool)> {
        let (mut caches, mut more) = (Vec::new(), false);
        self.sign('[')?;
        self.takes(',')?;
        while !self.takes(']')? {
            let cache = self.cache()?;
            if caches.len() < MAX_CACHES {
                caches.push(cache)
            } else {
                more = true
            }
            if !self.takes(',')? {
                self.sign(']')?;
                break;
            }
        }
        // Of an empty list Dhall wants to know what it is a list of.
        if self.takes(':')? {
            self.type_of_list()?;
        }
        Some((caches, more))
    }

    fn cache(&mut self) -> Option<CachixSecret> {
        let (mut name, mut secret) = (None, None);
        self.record(|reader, label| match label {
            "name" => once(&mut name, || reader.string()),
            "secretKey" => once(&mut secret, || reader.string()),
            _ => None,
        })?;
        Some(CachixSecret { name: name?.as_str().to_owned(), secret_key: secret? })
    }

    /// `List { name : Text, secretKey : Text }`, in any order.
    fn type_of_list(&mut self) -> Option<()> {
        (self.label()? == "List").then_some(())?;
        self.sign('{')?;
        for last in [false, true] {
            let label = self.label()?;
            self.sign(':')?;
            let is_text = self.label()? == "Text";
            (is_text && matches!(label.as_str(), "name" | "secretKey")).then_some(())?;
            self.sign(if last { '}' } else { ',' })?;
        }
        Some(())
    }

    /// A text between quotes, on one line and without an expression in it.
    fn string(&mut self) -> Option<Zeroizing<String>> {
        self.sign('"')?;
        // As long as it can get, so that no copy of it stays behind when it grows.
        let room = self.rest().find('\n').unwrap_or(self.rest().len());
        let mut text = Zeroizing::new(String::with_capacity(room));
        loop {
            let letter = self.letter()?;
            match letter {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                '$' if self.rest().starts_with('{') => return None,
                letter if letter.is_control() => return None,
                letter => text.push(letter),
            }
        }
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn escaped(&mut self) -> Option<char> {
        match self.letter()? {
            letter @ ('"' | '$' | '\\' | '/') => Some(letter),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let braced = self.rest().starts_with('{');
                let digits = if braced { self.rest().get(1..)?.split('}').next()? } else { self.rest().get(..4)? };
                let code = (1..=6).contains(&digits.len()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()?;
                self.at += digits.len() + if braced { 2 } else { 0 };
                char::from_u32(code)
            }
            _ => None,
        }
    }
}

/// Fills what is empty as yet; a field may stand there once.
fn once<T>(place: &mut Option<T>, read: impl FnOnce() -> Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(read()?);
    Some(())
}

/// How long the comment is with which the text begins; comments nest.
fn block(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"{-" => depth += 1,
            b"-}" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{CachixDhallError, parse};

    fn line(text: &str) -> u32 {
        parse(text.as_bytes()).err().unwrap().line
    }

    #[test]
    fn the_record_that_cachix_writes_is_read() {
        let text = "{ authToken =\n    \"eyJ.x.y\"\n, hostname = \"https://cachix.org\"\n, binaryCaches =\n  [ { name = \"team\", secretKey = \"c2VjcmV0\" }\n  , { name = \"other\", secretKey = \"\\u0041\\\"\" }\n  ]\n}\n";
        let read = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.auth_token.as_deref().map(String::as_str), Some("eyJ.x.y"));
        assert_eq!(read.hostname.as_deref(), Some("https://cachix.org"));
        let caches: Vec<_> = read.caches.iter().map(|one| (one.name.as_str(), one.secret_key.as_str())).collect();
        assert_eq!(caches, [("team", "c2VjcmV0"), ("other", "A\"")]);
    }

    #[test]
    fn an_empty_list_says_what_it_is_a_list_of_and_an_old_file_has_no_hostname() {
        let text = "-- by hand\n{- {- nested -} -} { authToken = \"\", binaryCaches = [] : List { name : Text, secretKey : Text } }";
        let read = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert!(read.auth_token.is_none() && read.hostname.is_none() && read.caches.is_empty());
    }

    #[test]
    fn what_would_have_to_be_evaluated_or_is_not_known_is_malformed_and_named_by_its_line_alone() {
        assert_eq!(line("{ authToken = env:TOKEN }"), 1);
        assert_eq!(line("{ authToken = \"a\"\n, hostname = \"${x}\" }"), 2);
        assert_eq!(line("{ authToken = \"a\"\n, authToken = \"b\" }"), 2);
        assert_eq!(line("let x = \"canary\" in { authToken = x }"), 1);
        assert_eq!(line("{ authToken = \"a\"\n,\n future = \"b\" }"), 3);
        assert_eq!(line("{ authToken = ''\n a'' }"), 1);
        assert_eq!(line("{ authToken = \"a\" }\n/\\x"), 2);
        assert_eq!(line("{ binaryCaches = [ { name = \"canary\" } ] }"), 1);
        assert_eq!(line("{- never ends"), 1);
        let error = parse(b"{ authToken = secret-canary }").err().unwrap();
        assert_eq!(error, CachixDhallError { line: 1 });
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(
            bytes: Vec<u8>,
            text in "[{}\\[\\],=:\"\\\\u$'`\n -]{0,40}",
            inner in "\\PC{0,20}",
        ) {
            let _ = (parse(&bytes).is_ok(), parse(text.as_bytes()).is_ok());
            let _ = parse(format!("{{ authToken = \"{inner}\" }}").as_bytes()).is_ok();
        }
    }
}
