//! The sentence of a finding: words with expressions in braces.

use super::expression::Expression;

/// A message.
#[derive(Debug)]
pub(super) struct Template {
    pub parts: Vec<Part>,
}

/// One part of it.
#[derive(Debug)]
pub(super) enum Part {
    Words(String),
    Value(Expression),
}

/// Words, or an expression with the byte at which it begins.
type Piece = Result<String, (usize, String)>;

impl Template {
    /// Takes a message apart. `{{` and `}}` are braces; an error is the byte and what is wrong there.
    pub fn pieces(text: &str) -> Result<Vec<Piece>, (usize, &'static str)> {
        let (mut pieces, mut words) = (Vec::new(), String::new());
        let mut rest = text.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            match (character, rest.peek().map(|(_, next)| *next)) {
                ('{', Some('{')) | ('}', Some('}')) => {
                    rest.next();
                    words.push(character);
                }
                ('{', _) => {
                    let inner = &text[at + 1..];
                    let length = inner.find('}').ok_or((at, "this brace is never closed"))?;
                    pieces.push(Ok(std::mem::take(&mut words)));
                    pieces.push(Err((at + 1, inner[..length].to_owned())));
                    while rest.next_if(|(next, _)| *next <= at + 1 + length).is_some() {}
                }
                ('}', _) => return Err((at, "this brace closes nothing; write `}}` for a brace")),
                _ => words.push(character),
            }
        }
        pieces.push(Ok(words));
        Ok(pieces)
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(expression) => Some(expression),
            Part::Words(_) => None,
        })
    }
}
