//! What a caller asks for: the format of its answer, and how it is read.

use crate::report::Format;

/// The query of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// What the answer is written in.
    pub(super) format: Format,
    /// Whether rows that are not incoherent are listed too.
    pub(super) verbose: bool,
    /// Whether unknown rows may pass.
    pub(super) allow_unknown: bool,
}

/// What is known, for a caller that asked for something else.
const KNOWN: &str = "known are format, verbose, allow_unknown and fail";

impl Question {
    /// Reads the query. What is not known is refused: it would be a wish that nobody heard.
    pub(super) fn read(query: &[(String, String)]) -> Result<Self, String> {
        let mut question = Self { format: Format::Json, verbose: false, allow_unknown: false };
        for (key, value) in query {
            match key.as_str() {
                "format" => question.format = format(value)?,
                "verbose" => question.verbose = truth(key, value)?,
                "allow_unknown" => question.allow_unknown = truth(key, value)?,
                _ => return Err(format!("there is no parameter {:?}; {KNOWN}", shortened(key))),
            }
        }
        Ok(question)
    }

    /// The media type of the answer.
    pub(super) fn content_type(&self) -> &'static str {
        match self.format.word() {
            "json" | "codequality" => "application/json",
            "junit" => "application/xml",
            "markdown" => "text/markdown; charset=utf-8",
            "html" => "text/html; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }
}

fn format(word: &str) -> Result<Format, String> {
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
    let found = Format::ALL.into_iter().find(|format| format.word() == word);
    found.ok_or_else(|| format!("there is no format {:?}; there are {}", shortened(word), known.join(", ")))
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{key} is given alone, or as {key}=1 or {key}=0")),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::Question;
    use crate::report::Format;

    fn read(query: &[(&str, &str)]) -> Result<Question, String> {
        let query: Vec<(String, String)> = query.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Question::read(&query)
    }

    #[test]
    fn without_a_wish_the_answer_is_json_and_unknown_rows_count() {
        let question = read(&[]).expect("a question");
        assert_eq!((question.format, question.verbose, question.allow_unknown), (Format::Json, false, false));
        assert_eq!(question.content_type(), "application/json");
    }

    #[test]
    fn every_format_can_be_asked_for_by_its_word() {
        for format in Format::ALL {
            assert_eq!(read(&[("format", format.word())]).expect("a question").format, format);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let wrong = |query| read(query).expect_err("a refusal");
        assert!(wrong(&[("format", "pdf")]).contains("table, json, junit"));
        assert!(wrong(&[("disclose", "all")]).contains("format, verbose"));
        assert!(wrong(&[("verbose", "yes please")]).contains("verbose=1"));
    }
}
