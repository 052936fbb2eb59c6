//! What a check says of itself: its texts, its relation in one sentence, and the facts that it reads.

use std::collections::BTreeSet;

use super::{Check, HEADER};
use crate::check::Severity;
use crate::check::definition::{Expect, Partners, Relation, Sides, Text};

impl Check {
    /// Its id: the path below the directory of checks.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file that defines it, as it is shown.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The claim in words.
    pub fn title(&self) -> &str {
        &self.definition.title
    }

    /// What breaks.
    pub fn why(&self) -> &str {
        &self.definition.why
    }

    /// What to do.
    pub fn fix(&self) -> &str {
        &self.definition.fix
    }

    /// How bad an incoherence is.
    pub fn severity(&self) -> Severity {
        self.definition.severity
    }

    /// The gap, as reports write it.
    pub fn gap(&self) -> &'static str {
        self.definition.gap.word()
    }

    /// Checks of whose findings these are symptoms.
    pub fn caused_by(&self) -> &[String] {
        &self.caused_by
    }

    /// What is compared with what, in one sentence made of the file's own expressions.
    pub fn relation(&self) -> String {
        let of = &self.definition;
        let text = |text: &Option<Text>| text.as_ref().map_or("any".to_owned(), |text| format!("`{}`", text.get_ref()));
        let sides = |sides: &Option<toml::Spanned<Sides>>| match sides.as_ref().map(toml::Spanned::get_ref) {
            Some(Sides::One(text)) => format!("`{text}`"),
            Some(Sides::Two { a, b }) => format!("{} = {}", text(a), text(b)),
            None => String::new(),
        };
        match of.relation {
            Relation::Each => format!("each row where {}: {}", text(&of.condition), text(&of.claim)),
            Relation::Agree => {
                let expect = match of.expect.as_ref().map(|expect| *expect.get_ref()).unwrap_or_default() {
                    Expect::Equal => "equal",
                    Expect::Distinct => "distinct",
                    Expect::Overlap => "overlapping",
                };
                format!(
                    "rows with equal {} where {}: {} is {expect}",
                    sides(&of.link),
                    text(&of.condition),
                    text(&of.value)
                )
            }
            Relation::Between => {
                let partners = match of.partners.as_ref().map(|partners| *partners.get_ref()).unwrap_or_default() {
                    Partners::All => "every",
                    Partners::Some => "some",
                };
                format!(
                    "between a where {} and {partners} b where {}, linked by {}: {}",
                    text(&of.from),
                    text(&of.to),
                    sides(&of.link),
                    text(&of.claim)
                )
            }
        }
    }

    /// The paths of the facts that it reads, sorted; `[]` stands for the elements of a list.
    pub fn facts_read(&self) -> Vec<String> {
        let program = &self.program;
        let mut paths = BTreeSet::new();
        for side in &program.sides {
            let of_link = side.link.iter().chain(side.over.as_ref().map(|over| &over.list));
            paths.extend(of_link.flat_map(|expression| &expression.reads).map(|read| read.path.clone()));
            paths.extend(side.shown.iter().cloned());
            paths.extend(side.shown_element.iter().map(|(path, _)| path.clone()));
        }
        paths.retain(|path| !HEADER.contains(&path.as_str()));
        paths.into_iter().collect()
    }
}
