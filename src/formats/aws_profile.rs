//! The AWS files `credentials` and `config`: sections, properties, one level of nesting, and the line of each.
//!
//! Format: "Configuration and credential file settings", AWS SDKs and Tools Reference Guide. Written here and not taken from rust-ini,
//! which keeps no line numbers, takes a backslash for an escape and stops at the first line that it does not know, where
//! the SDKs go on. Values are borrowed from the text, so that a secret is never copied. No I/O.

/// Most sections that are kept; the rest is counted in [`AwsFile::cut`].
const MAX_SECTIONS: usize = 1024;

/// Which of the two files it is: they name profiles differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `~/.aws/credentials`: `[name]` is a profile.
    Credentials,
    /// `~/.aws/config`: `[profile name]` is a profile, and `[default]`; `[services name]` holds endpoints per service.
    Config,
}

/// What a section is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionKind {
    /// A profile.
    Profile(String),
    /// `[services name]`.
    Services(String),
    /// Any other, such as `[sso-session name]`, and what the SDKs ignore.
    Other,
}

/// One section.
pub struct Section<'a> {
    /// What it is.
    pub kind: SectionKind,
    /// 1-based line of its header.
    pub line: u32,
    properties: Vec<Property<'a>>,
    /// The last property that is not nested, if it is empty: what follows indented is nested below it.
    open: Option<String>,
}

/// One property. No `Debug`: the value may be a secret.
struct Property<'a> {
    /// In lower case; the SDKs do not tell cases apart.
    name: String,
    /// The property that it is nested below, if any.
    parent: Option<String>,
    value: &'a str,
    line: u32,
}

/// What a file holds.
pub struct AwsFile<'a> {
    /// Sections in the order of the file; a profile may come more than once.
    pub sections: Vec<Section<'a>>,
    /// Lines, 1-based, that are neither section, property, comment nor blank.
    pub unknown_lines: Vec<u32>,
    /// Whether there were more than the kept sections.
    pub cut: bool,
}

/// The file is not text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not UTF-8")]
pub struct NotText {
    /// 1-based line of the first byte that is no UTF-8.
    pub line: u32,
}

impl<'a> Section<'a> {
    /// The value and line of a property, by its lower-case name. The last of two equal names holds.
    pub fn get(&self, name: &str) -> Option<(&'a str, u32)> {
        self.find(None, name)
    }

    /// The value and line of a property nested below another, as in `s3 =` followed by an indented `endpoint_url = …`.
    pub fn nested(&self, parent: &str, name: &str) -> Option<(&'a str, u32)> {
        self.find(Some(parent), name)
    }

    fn find(&self, parent: Option<&str>, name: &str) -> Option<(&'a str, u32)> {
        let wanted = |property: &&Property<'_>| property.name == name && property.parent.as_deref() == parent;
        self.properties.iter().rev().find(wanted).map(|property| (property.value, property.line))
    }
}

/// Reads the file. Lines that it does not know are noted and passed over, as the SDKs do.
pub fn parse(text: &[u8], dialect: Dialect) -> Result<AwsFile<'_>, NotText> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        NotText { line: number(before.iter().filter(|byte| **byte == b'\n').count()) }
    })?;
    let mut file = AwsFile { sections: Vec::new(), unknown_lines: Vec::new(), cut: false };
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        take(&mut file, line, number(index), dialect);
        if file.cut {
            break;
        }
    }
    Ok(file)
}

fn take<'a>(file: &mut AwsFile<'a>, line: &'a str, number: u32, dialect: Dialect) {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
        return;
    }
    if let Some(header) = trimmed.strip_prefix('[') {
        let Some((name, _)) = header.split_once(']') else {
            file.unknown_lines.push(number);
            // What follows belongs to no section that could be named.
            file.sections.push(Section { kind: SectionKind::Other, line: number, properties: Vec::new(), open: None });
            return;
        };
        if file.sections.len() == MAX_SECTIONS {
            file.cut = true;
            return;
        }
        file.sections.push(Section {
            kind: kind(name.trim(), dialect),
            line: number,
            properties: Vec::new(),
            open: None,
        });
        return;
    }
    let (Some(section), Some((name, value))) = (file.sections.last_mut(), trimmed.split_once('=')) else {
        file.unknown_lines.push(number);
        return;
    };
    let name = name.trim().to_ascii_lowercase();
    let value = without_comment(value.trim());
    let parent = section.open.clone().filter(|_| line.starts_with([' ', '\t']));
    if parent.is_none() {
        section.open = value.is_empty().then(|| name.clone());
    }
    section.properties.push(Property { name, parent, value, line: number });
}

/// A comment within a line begins with a blank and `#` or `;`.
fn without_comment(value: &str) -> &str {
    let end = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, before), mark)| before.is_whitespace() && matches!(mark, '#' | ';'))
        .map_or(value.len(), |((at, _), _)| at);
    let value = if value.starts_with(['#', ';']) { "" } else { value.get(..end).unwrap_or(value) };
    value.trim_end()
}

fn kind(name: &str, dialect: Dialect) -> SectionKind {
    let words = name.split_once([' ', '\t']).map(|(word, rest)| (word, unquoted(rest.trim())));
    match (dialect, words) {
        (_, None) if dialect == Dialect::Credentials || name == "default" => SectionKind::Profile(unquoted(name)),
        (Dialect::Config, Some(("profile", profile))) => SectionKind::Profile(profile),
        (Dialect::Config, Some(("services", services))) => SectionKind::Services(services),
        _ => SectionKind::Other,
    }
}

fn unquoted(name: &str) -> String {
    let inner = |quote| name.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(name).to_owned()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, SectionKind, parse};

    #[test]
    fn a_profile_is_named_by_the_bare_name_in_one_file_and_by_a_prefix_in_the_other() {
        let text = b"[default]\nregion=a\n[profile \"two words\"]\nregion = b\n[three]\nregion = c\n[sso-session x]\n";
        let kinds = |dialect| -> Vec<SectionKind> {
            parse(text, dialect).expect("text").sections.into_iter().map(|section| section.kind).collect()
        };
        let profile = |name: &str| SectionKind::Profile(name.to_owned());
        assert_eq!(
            kinds(Dialect::Config),
            [profile("default"), profile("two words"), SectionKind::Other, SectionKind::Other]
        );
        assert_eq!(
            kinds(Dialect::Credentials),
            [profile("default"), SectionKind::Other, profile("three"), SectionKind::Other]
        );
    }

    #[test]
    fn a_nested_property_is_not_taken_for_one_of_the_profile() {
        let text = b"[default]\ns3 =\n  endpoint_url = https://s3.example\n  region = nested\nregion = eu # here\n";
        let file = parse(text, Dialect::Config).expect("text");
        let section = &file.sections[0];
        assert_eq!(section.nested("s3", "endpoint_url"), Some(("https://s3.example", 3)));
        assert_eq!(section.get("endpoint_url"), None);
        assert_eq!(section.get("region"), Some(("eu", 5)));
    }

    #[test]
    fn signs_within_a_secret_are_part_of_it_and_names_know_no_case() {
        let text = b"[a]\r\nAWS_Secret_Access_Key=ab/c+d=e#f;g\\n==\r\n";
        let file = parse(text, Dialect::Credentials).expect("text");
        assert_eq!(file.sections[0].get("aws_secret_access_key"), Some(("ab/c+d=e#f;g\\n==", 2)));
    }

    #[test]
    fn a_line_that_is_nothing_is_noted_and_the_rest_still_read() {
        let text = b"stray = 1\n[a]\nnonsense\nregion = x\n[open\nregion = y\n";
        let file = parse(text, Dialect::Credentials).expect("text");
        assert_eq!(file.unknown_lines, [1, 3, 5]);
        assert_eq!(file.sections[0].get("region"), Some(("x", 4)));
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error_with_their_line() {
        assert_eq!(parse(b"[a]\n\xff", Dialect::Config).err().map(|error| error.line), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, Dialect::Config);
        }
    }
}
