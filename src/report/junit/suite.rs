//! The cases of a report: unique, within its size, and written as XML. Knows nothing of findings.

use std::collections::BTreeSet;
use std::io;

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;

use super::{MOST_BYTES, MOST_OBJECTS, RUN};
use crate::report::summary::counted;

/// The most bytes of evidence in one case.
const EVIDENCE: usize = 16_000;
/// What a case takes beside its texts: tags, attribute names, the time.
const FRAME: usize = 200;

/// What becomes of a case, with the word for its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// `failure`.
    Failure(&'static str),
    /// `error`.
    Error(&'static str),
    /// `skipped`.
    Skipped(&'static str),
    /// A case that passes.
    Pass,
}

impl Mark {
    /// The worst first; the order in which a full report keeps cases.
    pub fn rank(self) -> u8 {
        match self {
            Self::Failure(_) => 0,
            Self::Error(_) => 1,
            Self::Skipped(_) => 2,
            Self::Pass => 3,
        }
    }

    fn element(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Failure(word) => Some(("failure", word)),
            Self::Error(word) => Some(("error", word)),
            Self::Skipped(word) => Some(("skipped", word)),
            Self::Pass => None,
        }
    }

    /// How many elements, attributes and texts a case of this mark is.
    fn objects(self) -> usize {
        if self == Self::Pass { 4 } else { 8 }
    }
}

/// A test case whose texts are plain and cut.
pub struct Case {
    pub class: String,
    pub name: String,
    pub mark: Mark,
    pub message: String,
    pub body: String,
}

impl Case {
    /// `class`, `name` and `message` must be plain, `body` plain line by line.
    pub fn new(class: &str, name: &str, mark: Mark, message: &str, body: &str) -> Self {
        let mut kept = body;
        if kept.len() > EVIDENCE {
            kept = &kept[..kept.floor_char_boundary(EVIDENCE)];
        }
        let cut = body.len() - kept.len();
        let body =
            if cut > 0 { format!("{kept}…\n({cut} more bytes of evidence are left out)") } else { kept.to_owned() };
        Self { class: class.to_owned(), name: name.to_owned(), mark, message: message.to_owned(), body }
    }

    /// At least as many bytes as it takes as written.
    fn bytes(&self) -> usize {
        FRAME + [&self.class, &self.name, &self.message, &self.body].map(|text| escaped(text)).iter().sum::<usize>()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let mut case = BytesStart::new("testcase");
        case.extend_attributes([("classname", self.class.as_str()), ("name", &self.name), ("time", "0")]);
        let Some((element, word)) = self.mark.element() else {
            return writer.write_event(Event::Empty(case));
        };
        writer.write_event(Event::Start(case))?;
        let mut result = BytesStart::new(element);
        result.extend_attributes([("type", word), ("message", &self.message)]);
        writer.write_event(Event::Start(result))?;
        writer.write_event(Event::Text(BytesText::new(&self.body)))?;
        writer.write_event(Event::End(BytesEnd::new(element)))?;
        writer.write_event(Event::End(BytesEnd::new("testcase")))
    }
}

/// The length of a text as written.
fn escaped(plain: &str) -> usize {
    plain.len() + plain.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'')).count() * 5
}

/// The cases of a report.
#[derive(Default)]
pub struct Suite {
    cases: Vec<Case>,
    identities: BTreeSet<(String, String)>,
    bytes: usize,
    objects: usize,
    left_out: usize,
    worst_left_out: Option<Mark>,
}

impl Suite {
    /// Adds a case, or counts it where the report is full.
    pub fn add(&mut self, mut case: Case) {
        let (bytes, objects) = (case.bytes(), case.mark.objects());
        if self.bytes + bytes > MOST_BYTES || self.objects + objects > MOST_OBJECTS {
            self.left_out += 1;
            self.worst_left_out = self.worst_left_out.into_iter().chain([case.mark]).min_by_key(|mark| mark.rank());
            return;
        }
        self.bytes += bytes;
        self.objects += objects;
        self.set_apart(&mut case);
        self.cases.push(case);
    }

    /// Two cases of one identity collapse in GitLab, so the later one gets a number.
    fn set_apart(&mut self, case: &mut Case) {
        let plain_name = case.name.clone();
        let mut number = 1_usize;
        while !self.identities.insert((case.class.clone(), case.name.clone())) {
            number += 1;
            case.name = format!("{plain_name} ({number})");
        }
    }

    /// The report. `started_ms` in milliseconds since 1970; the properties are plain.
    pub fn write(mut self, started_ms: i64, host: &str, properties: &[(&str, String)]) -> String {
        if let Some(worst) = self.worst_left_out {
            let message = format!("{} left out to keep this report small", counted(self.left_out, "row"));
            let body = format!("{message}; the JSON report holds all of them");
            let mark = if worst == Mark::Pass { Mark::Skipped("left-out") } else { worst };
            let mut case = Case::new(RUN, "rows left out", mark, &message, &body);
            self.set_apart(&mut case);
            self.cases.push(case);
        }
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 1);
        match self.elements(&mut writer, started_ms, host, properties) {
            Ok(()) => String::from_utf8_lossy(&writer.into_inner()).into_owned() + "\n",
            Err(_) => UNWRITABLE.to_owned(),
        }
    }

    fn elements(
        &self,
        writer: &mut Writer<Vec<u8>>,
        started_ms: i64,
        host: &str,
        properties: &[(&str, String)],
    ) -> io::Result<()> {
        let count = |rank: u8| self.cases.iter().filter(|case| case.mark.rank() == rank).count().to_string();
        let started = jiff::Timestamp::from_millisecond(started_ms).unwrap_or_default().to_string();
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        writer.write_event(Event::Start(BytesStart::new("testsuites")))?;
        let mut suite = BytesStart::new("testsuite");
        suite.extend_attributes([("name", "parallax"), ("timestamp", &started), ("hostname", host)]);
        suite.extend_attributes([
            ("tests", self.cases.len().to_string().as_str()),
            ("failures", &count(0)),
            ("errors", &count(1)),
            ("skipped", &count(2)),
        ]);
        writer.write_event(Event::Start(suite))?;
        writer.write_event(Event::Start(BytesStart::new("properties")))?;
        for (name, value) in properties {
            let mut property = BytesStart::new("property");
            property.extend_attributes([("name", *name), ("value", value)]);
            writer.write_event(Event::Empty(property))?;
        }
        writer.write_event(Event::End(BytesEnd::new("properties")))?;
        self.cases.iter().try_for_each(|case| case.write(writer))?;
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
        writer.write_event(Event::End(BytesEnd::new("testsuites")))
    }
}

/// Writing to memory does not fail; were it ever to, the report must not read as success.
const UNWRITABLE: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="parallax">"#,
    r#"<testcase classname="parallax.run" name="ran"><error>the report could not be written</error></testcase>"#,
    "</testsuite></testsuites>\n"
);
