//! `nix.conf` (`nix.conf(5)`, `src/libutil/configuration.cc` of Nix): the grammar of one file or of `NIX_CONFIG`.
//!
//! A line is cut at its first `#`, without quoting, and split on blanks, tabs and carriage returns. It is empty, an include, or
//! `name = value …`. Reading included files, and which file comes when, is the caller's matter. What the settings mean
//! is in [`settings`], how later lines change earlier ones in [`effective`].

pub mod effective;
pub mod settings;

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 1-based.
    pub number: u32,
    pub statement: Statement,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `include path`, or `!include path`, which is optional.
    Include { path: String, optional: bool },
    /// `name = tokens…`; no token at all is the empty value.
    Set { name: String, tokens: Vec<String> },
}

/// A line at which Nix stops. The text of the line is not repeated: it may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail}")]
pub struct SyntaxError {
    /// 1-based.
    pub line: u32,
    /// What is wrong.
    pub detail: &'static str,
}

/// Reads lines up to the first that Nix refuses, and that error if there is one.
pub fn parse(text: &[u8]) -> (Vec<Line>, Option<SyntaxError>) {
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match statement(&String::from_utf8_lossy(line)) {
            Ok(None) => {}
            Ok(Some(statement)) => lines.push(Line { number, statement }),
            Err(detail) => return (lines, Some(SyntaxError { line: number, detail })),
        }
    }
    (lines, None)
}

fn statement(line: &str) -> Result<Option<Statement>, &'static str> {
    let said = line.split('#').next().unwrap_or_default();
    let mut tokens = said.split([' ', '\t', '\r']).filter(|token| !token.is_empty()).map(str::to_owned);
    let Some(name) = tokens.next() else { return Ok(None) };
    if name == "include" || name == "!include" {
        return match (tokens.next(), tokens.next()) {
            (Some(path), None) => Ok(Some(Statement::Include { path, optional: name == "!include" })),
            _ => Err("an include takes exactly one path"),
        };
    }
    match tokens.next() {
        Some(sign) if sign == "=" => Ok(Some(Statement::Set { name, tokens: tokens.collect() })),
        _ if name.contains('=') => Err("blanks are missing around `=`"),
        _ => Err("neither `name = value` nor an include"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Statement, parse};

    fn sets(text: &str) -> Vec<(String, String)> {
        let (lines, error) = parse(text.as_bytes());
        assert_eq!(error, None);
        lines
            .into_iter()
            .filter_map(|line| match line.statement {
                Statement::Set { name, tokens } => Some((name, tokens.join(" "))),
                Statement::Include { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_comment_starts_at_the_first_hash_even_within_a_word() {
        assert_eq!(sets("  a\t= b#c d\n# e = f\n\r\n"), [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        assert_eq!(sets("substituters ="), [("substituters".to_owned(), String::new())]);
    }

    #[test]
    fn a_missing_blank_stops_nix_and_the_error_repeats_no_text() {
        let (lines, error) = parse(b"a = b\naccess-tokens=github.com=secret\nc = d\n");
        assert_eq!(lines.len(), 1);
        let error = error.expect("an error");
        assert_eq!(error.line, 2);
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn an_include_takes_one_path() {
        let (lines, error) = parse(b"include a.conf\n!include /b\ninclude a b\n");
        let paths: Vec<_> = lines.into_iter().map(|line| line.statement).collect();
        assert_eq!(
            paths,
            [
                Statement::Include { path: "a.conf".into(), optional: false },
                Statement::Include { path: "/b".into(), optional: true }
            ]
        );
        assert_eq!(error.map(|error| error.line), Some(3));
    }
}
