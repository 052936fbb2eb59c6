//! narinfo: what a binary cache says of one store path (`src/libstore/nar-info.cc`). One `Name: value` per line, in any order; unknown names are
//! passed over. Total: every text gives a narinfo or the line at which Nix would call it corrupt. No I/O.

use super::nix_hash::{self, Algorithm, Hash};
use super::store_path::StorePath;

/// The most references and signatures that are kept.
const MAX_VALUES: usize = 65_536;

/// What a cache says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The store directory, such as `/nix/store`.
    pub store: String,
    pub path: StorePath,
    /// Of the NAR, relative to the cache.
    pub url: String,
    /// Always SHA-256: another algorithm cannot be signed for.
    pub nar_hash: Hash,
    /// In bytes, never 0.
    pub nar_size: u64,
    /// Sorted by their base names, each once.
    pub references: Vec<StorePath>,
    /// As written, `name:base64`, in order.
    pub signatures: Vec<String>,
    /// The content address, as written.
    pub content_address: Option<String>,
}

/// Why Nix would call it corrupt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    #[error("not UTF-8")]
    NotText,
    #[error("line {line}: {detail}")]
    Line { line: u32, detail: &'static str },
    #[error("has no {0}")]
    Missing(&'static str),
}

impl NarInfoError {
    /// 1-based, where there is one.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Line { line, .. } => Some(*line),
            Self::NotText | Self::Missing(_) => None,
        }
    }
}

#[derive(Default)]
struct Draft {
    path: Option<(String, StorePath)>,
    url: Option<String>,
    nar_hash: Option<Hash>,
    nar_size: Option<u64>,
    references: Vec<StorePath>,
    signatures: Vec<String>,
    content_address: Option<String>,
}

/// Reads a narinfo.
pub fn parse(text: &[u8]) -> Result<NarInfo, NarInfoError> {
    let text = std::str::from_utf8(text).map_err(|_| NarInfoError::NotText)?;
    let mut draft = Draft::default();
    let mut number = 0_u32;
    let mut rest = text;
    while !rest.is_empty() {
        number = number.saturating_add(1);
        let wrong = |detail| NarInfoError::Line { line: number, detail };
        let (line, after) = rest.split_once('\n').ok_or_else(|| wrong("does not end with a newline"))?;
        rest = after;
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("is no `Name: value`"))?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        draft.take(name, value).map_err(wrong)?;
    }
    draft.finish()
}

impl Draft {
    fn take(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "StorePath" => {
                self.path = Some(StorePath::with_directory(value).ok_or("StorePath is no store path")?);
            }
            "URL" => self.url = Some(value.to_owned()),
            "NarHash" => {
                let hash = nix_hash::parse(value).filter(|hash| hash.algorithm == Algorithm::Sha256);
                self.nar_hash = Some(hash.ok_or("NarHash is no SHA-256")?);
            }
            "NarSize" => self.nar_size = Some(value.parse().map_err(|_| "NarSize is no number")?),
            "References" => {
                if !self.references.is_empty() {
                    return Err("References stands twice");
                }
                self.references = references(value)?;
            }
            "Sig" if self.signatures.len() < MAX_VALUES => self.signatures.push(value.to_owned()),
            "Sig" => return Err("there are too many signatures"),
            "CA" => {
                if self.content_address.is_some() {
                    return Err("CA stands twice");
                }
                self.content_address = Some(value.to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<NarInfo, NarInfoError> {
        let (store, path) = self.path.ok_or(NarInfoError::Missing("StorePath"))?;
        Ok(NarInfo {
            store,
            path,
            url: self.url.filter(|url| !url.is_empty()).ok_or(NarInfoError::Missing("URL"))?,
            nar_hash: self.nar_hash.ok_or(NarInfoError::Missing("NarHash"))?,
            nar_size: self.nar_size.filter(|size| *size != 0).ok_or(NarInfoError::Missing("NarSize"))?,
            references: self.references,
            signatures: self.signatures,
            content_address: self.content_address.filter(|address| !address.is_empty()),
        })
    }
}

/// Base names, in the order in which Nix keeps and signs them.
fn references(value: &str) -> Result<Vec<StorePath>, &'static str> {
    let names = value.split([' ', '\t', '\r']).filter(|name| !name.is_empty());
    let mut found = Vec::new();
    for name in names {
        if found.len() == MAX_VALUES {
            return Err("there are too many references");
        }
        found.push(StorePath::parse(name).ok_or("a reference is no store path")?);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{NarInfoError, parse};

    const WHOLE: &str = "StorePath: /nix/store/00000000000000000000000000000000-demo\nURL: nar/x.nar.xz\nCompression: xz\n\
        FileHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nFileSize: 1\n\
        NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 12\n\
        References: 22222222222222222222222222222222-b 11111111111111111111111111111111-a\nSystem: x\nSig: k:AA==\nSig: j:BB==\n";

    #[test]
    fn a_whole_narinfo_is_read_and_its_references_are_sorted() {
        let read = parse(WHOLE.as_bytes()).unwrap();
        assert_eq!(read.store, "/nix/store");
        assert_eq!(read.path.base_name(), "00000000000000000000000000000000-demo");
        let names: Vec<String> = read.references.iter().map(|path| path.base_name()).collect();
        assert_eq!(names, ["11111111111111111111111111111111-a", "22222222222222222222222222222222-b"]);
        assert_eq!(read.signatures, ["k:AA==", "j:BB=="]);
        assert_eq!(read.nar_size, 12);
    }

    #[test]
    fn what_nix_calls_corrupt_is_refused_with_its_line() {
        let without = |name: &str| {
            let lines = WHOLE.lines().filter(|line| !line.starts_with(name));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        for name in ["StorePath", "URL", "NarHash", "NarSize"] {
            assert_eq!(parse(without(name).as_bytes()), Err(NarInfoError::Missing(name)));
        }
        assert_eq!(parse(WHOLE.trim_end().as_bytes()).unwrap_err().line(), Some(11), "the last newline is missing");
        assert_eq!(parse(WHOLE.replace("NarSize: 12", "NarSize: 0").as_bytes()), Err(NarInfoError::Missing("NarSize")));
        assert_eq!(parse(WHOLE.replace("NarSize: 12", "NarSize: x").as_bytes()).unwrap_err().line(), Some(7));
        assert_eq!(parse(WHOLE.replace("References: 2", "References: e").as_bytes()).unwrap_err().line(), Some(8));
        assert_eq!(parse(b"<html>no cache\n").unwrap_err().line(), Some(1));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_lines_are_read_without_a_panic(lines in proptest::collection::vec("(StorePath|URL|NarHash|NarSize|References|Sig|CA): .{0,80}\n", 0..12)) {
            let _ = parse(lines.concat().as_bytes());
        }
    }
}
