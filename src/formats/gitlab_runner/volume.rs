//! One entry of `volumes`, by the runner's own grammar (`executors/docker/internal/volumes/parser/linux_parser.go`):
//! `[source:]destination[:ro|rw|O][:|,z|Z][:|,propagation]`. Pure.

use super::Problem;

/// What one entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// A directory of the machine that the engine runs on, or the name of one of its volumes; none for a volume that the runner makes itself.
    pub source: Option<String>,
    /// Where it is mounted. The runner replaces variables in it.
    pub destination: String,
    /// Whether it is mounted read-only (`ro`); writes to an overlay (`O`) do not reach the source either, and count as writable.
    pub read_only: bool,
    /// What else stands behind the destination, as the engine takes it: the mode, `z` or `Z`, the propagation.
    pub options: Vec<String>,
    /// 1-based line.
    pub line: u32,
}

/// Letters that neither a directory nor a name may hold, by the parser's expression.
const FORBIDDEN: &str = "\\/:*?\"<>|\r\n";

impl Volume {
    /// Reads one entry. `line` is where it stands.
    pub fn parse(text: &str, line: u32) -> Result<Self, Problem> {
        let refused =
            || Problem { line, key: "volumes".into(), detail: "not a volume: the runner stops every job".into() };
        let mut pieces = text.split(':');
        let first = pieces.next().filter(|piece| is_directory(piece) || is_name(piece)).ok_or_else(refused)?;
        let mut rest = pieces.clone();
        let (source, destination) = match rest.next().filter(|second| is_directory(second)) {
            Some(destination) => (Some(first.to_owned()), destination),
            None if is_directory(first) => {
                rest = pieces;
                (None, first)
            }
            None => return Err(refused()),
        };
        let options = options(rest).ok_or_else(refused)?;
        let read_only = options.first().is_some_and(|mode| mode.eq_ignore_ascii_case("ro"));
        Ok(Self { source, destination: destination.to_owned(), read_only, options, line })
    }

    /// Whether the source is a directory of the engine's machine; else it is a volume.
    pub fn is_bind(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.starts_with('/'))
    }

    /// Whether the destination depends on variables of a job.
    pub fn is_expanded(&self) -> bool {
        self.destination.contains('$')
    }

    /// As the engine's API takes it (`HostConfig.Binds`); none for a volume that the runner makes itself.
    pub fn bind(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        let options = if self.options.is_empty() { String::new() } else { format!(":{}", self.options.join(",")) };
        Some(format!("{source}:{}{options}", self.destination))
    }
}

/// Mode, label and propagation, each at most once and in this order. Only a colon may stand before the mode.
fn options<'a>(pieces: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    const PROPAGATIONS: [&str; 6] = ["shared", "slave", "private", "rshared", "rslave", "rprivate"];
    const KINDS: [&[&str]; 3] = [&["ro", "rw", "o"], &["z"], &PROPAGATIONS];
    let mut kinds = KINDS.iter().enumerate();
    let mut found = Vec::new();
    for piece in pieces {
        for (index, word) in piece.split(',').enumerate() {
            let is_of = |kind: &[&str]| kind.iter().any(|known| known.eq_ignore_ascii_case(word));
            let (kind, _) = kinds.find(|(_, kind)| is_of(kind))?;
            if kind == 0 && index > 0 {
                return None;
            }
            found.push(word.to_owned());
        }
    }
    Some(found)
}

/// `/`, then steps that are not empty, the last one with or without a slash.
fn is_directory(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let rest = rest.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(rest);
    rest.is_empty() || rest.split('/').all(is_name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|letter| FORBIDDEN.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::Volume;

    fn parsed(text: &str) -> Option<(Option<String>, String, bool, Vec<String>)> {
        let volume = Volume::parse(text, 1).ok()?;
        Some((volume.source, volume.destination, volume.read_only, volume.options))
    }

    #[test]
    fn the_forms_that_the_runner_takes_are_taken() {
        let some = |source: &str, destination: &str, read_only, options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            Some(((!source.is_empty()).then(|| source.to_owned()), destination.to_owned(), read_only, options))
        };
        assert_eq!(parsed("/cache"), some("", "/cache", false, &[]));
        assert_eq!(parsed("/nix/store:/nix/store:ro"), some("/nix/store", "/nix/store", true, &["ro"]));
        assert_eq!(parsed("data:/var/data"), some("data", "/var/data", false, &[]));
        assert_eq!(parsed("/a:/b:ro,z"), some("/a", "/b", true, &["ro", "z"]));
        assert_eq!(parsed("/a:/b:Z,rshared"), some("/a", "/b", false, &["Z", "rshared"]));
        assert_eq!(parsed("/a:/b:RO:z:slave"), some("/a", "/b", true, &["RO", "z", "slave"]));
        assert_eq!(parsed("/cache:rw"), some("", "/cache", false, &["rw"]));
        // A comma may stand in a name, and takes what follows with it.
        assert_eq!(parsed("/a:/b,z"), some("/a", "/b,z", false, &[]));
        assert_eq!(parsed("/"), some("", "/", false, &[]));
    }

    #[test]
    fn what_the_runner_refuses_is_refused() {
        for text in [
            "",
            "cache",
            "./a:/b",
            "/a:b",
            "/a:/b:nocopy",
            "/a:/b:z:ro",
            "/a//b",
            "/a:/b:rw,ro",
            "/a:/b:",
            "/a:/b:shared,z",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_bind_is_given_to_the_engine_as_it_was_written() {
        let bind = |text: &str| Volume::parse(text, 1).ok().and_then(|volume| volume.bind());
        assert_eq!(bind("/a:/b:ro,z").as_deref(), Some("/a:/b:ro,z"));
        assert_eq!(bind("/cache"), None);
    }
}
