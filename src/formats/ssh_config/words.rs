//! The lines of a configuration file and the words in them (`readconf.c`, `misc.c`, `argv_split`).

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u32,
    /// Lower case.
    pub keyword: String,
    /// Quotes and escapes resolved, without a comment.
    pub words: Vec<String>,
    /// What follows the keyword, as it stands, for options that take a command.
    pub rest: String,
}

/// A line at which ssh stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail}")]
pub struct SyntaxError {
    pub line: u32,
    pub detail: &'static str,
}

/// The lines up to the first that ssh refuses, and that one.
pub fn lines(text: &[u8]) -> (Vec<Line>, Option<SyntaxError>) {
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let line = String::from_utf8_lossy(line);
        match one(&line, number) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => {}
            Err(detail) => return (lines, Some(SyntaxError { line: number, detail })),
        }
    }
    (lines, None)
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\u{c}'];

fn one(line: &str, number: u32) -> Result<Option<Line>, &'static str> {
    let line = line.trim_end_matches(BLANKS).trim_start_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (keyword, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("a quote does not end")?,
        None => line.split_at(line.find([' ', '\t', '\r', '=']).unwrap_or(line.len())),
    };
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches([' ', '\t', '\r']);
    let keyword = keyword.to_ascii_lowercase();
    // Commands are taken as they stand; their quotes are a shell's.
    let is_command =
        matches!(keyword.as_str(), "proxycommand" | "localcommand" | "remotecommand" | "knownhostscommand");
    let words = if is_command { vec![rest.to_owned()] } else { split(rest)? };
    Ok(Some(Line { number, keyword, words, rest: rest.to_owned() }))
}

/// Words with `'` and `"` around parts of them, and backslashes before those, themselves and blanks; a `#` before a word ends the line.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(first) = letters.peek() {
        if matches!(first, ' ' | '\t') {
            letters.next();
            continue;
        }
        if *first == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(letter) = letters.peek().copied() {
            if quote.is_none() && matches!(letter, ' ' | '\t') {
                break;
            }
            letters.next();
            match (letter, quote) {
                ('\\', _) => match letters.peek().copied() {
                    Some(next @ ('\'' | '"' | '\\')) => {
                        letters.next();
                        word.push(next);
                    }
                    Some(' ') if quote.is_none() => {
                        letters.next();
                        word.push(' ');
                    }
                    _ => word.push('\\'),
                },
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(open)) if open == letter => quote = None,
                _ => word.push(letter),
            }
        }
        if quote.is_some() {
            return Err("a quote does not end");
        }
        words.push(word);
    }
    Ok(words)
}
