//! The catalogue: the checks that are embedded in the binary, and those of a project's directory. One file is one check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::program::Check;
use super::refusal::{CatalogueError, Refusal};
use super::typing::nearest;

static BUILTIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/checks");

/// Largest check file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Deepest directory of checks.
const DEEPEST: usize = 8;

/// All checks of a run, by id.
#[derive(Debug, Default)]
pub struct Catalogue {
    checks: BTreeMap<String, Check>,
}

impl Catalogue {
    /// The checks that come with parallax.
    pub fn builtin() -> Result<Self, CatalogueError> {
        let mut files = Vec::new();
        embedded(&BUILTIN, &mut files);
        Self::default().with_files(files)
    }

    /// Adds the checks below a directory (`*.toml`). Symbolic links are not followed.
    pub fn with_directory(self, directory: &Path) -> Result<Self, CatalogueError> {
        let mut files = Vec::new();
        collect(directory, directory, 0, &mut files)?;
        files.sort();
        self.with_files(files)
    }

    /// Adds checks from their texts: id, file as it is shown, text.
    pub fn with_files(mut self, files: Vec<(String, String, String)>) -> Result<Self, CatalogueError> {
        let mut refusals = Vec::new();
        for (id, file, text) in files {
            if let Some(first) = self.checks.get(&id) {
                return Err(CatalogueError::Duplicate { id, first: first.file.clone(), second: file });
            }
            match Check::new(&id, &file, &text) {
                Ok(check) => {
                    self.checks.insert(id, check);
                }
                Err(found) => refusals.extend(found),
            }
        }
        if refusals.is_empty() {
            refusals = self.unknown_causes();
        }
        if refusals.is_empty() { Ok(self) } else { Err(CatalogueError::Refused { refusals }) }
    }

    /// Causes that name no check, or the check itself.
    fn unknown_causes(&self) -> Vec<Refusal> {
        let ids: BTreeSet<&str> = self.checks.keys().map(String::as_str).collect();
        let mut refusals = Vec::new();
        for check in self.checks.values() {
            for cause in &check.definition.caused_by {
                let id = cause.get_ref().as_str();
                if id == check.id {
                    refusals.push(check.refusal(cause.span(), "a check is not its own cause".to_owned(), None));
                } else if !ids.contains(id) {
                    let help = nearest(id, ids.iter().copied());
                    refusals.push(check.refusal(cause.span(), format!("there is no check `{id}`"), help));
                }
            }
        }
        refusals
    }

    /// All checks, by id.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.values()
    }

    /// The check with this id.
    pub fn get(&self, id: &str) -> Option<&Check> {
        self.checks.get(id)
    }

    /// The id that was probably meant.
    pub fn nearest(&self, id: &str) -> Option<String> {
        nearest(id, self.checks.keys().map(String::as_str))
    }
}

fn embedded(directory: &Dir<'_>, files: &mut Vec<(String, String, String)>) {
    for file in directory.files() {
        let path = file.path().to_string_lossy();
        if let (Some(id), Some(text)) = (path.strip_suffix(".toml"), file.contents_utf8()) {
            files.push((id.to_owned(), format!("checks/{path}"), text.to_owned()));
        }
    }
    directory.dirs().for_each(|directory| embedded(directory, files));
}

fn collect(
    root: &Path,
    directory: &Path,
    depth: usize,
    files: &mut Vec<(String, String, String)>,
) -> Result<(), CatalogueError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| CatalogueError::Unreadable { path, source }
    };
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let entry = entry.map_err(unreadable(directory))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if kind.is_dir() {
            if depth == DEEPEST {
                let source = std::io::Error::other(format!("checks are at most {DEEPEST} directories deep"));
                return Err(unreadable(&path)(source));
            }
            collect(root, &path, depth + 1, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "toml") {
            if entry.metadata().map_err(unreadable(&path))?.len() > LARGEST {
                let source = std::io::Error::other(format!("a check file has at most {LARGEST} bytes"));
                return Err(unreadable(&path)(source));
            }
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            let below = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            files.push((below.to_string_lossy().into_owned(), path.display().to_string(), text));
        }
    }
    Ok(())
}
