//! `--baseline` and `--write-baseline`: the file, read before anything is looked at, and written so that nobody sees half of it.
//!
//! Only a baseline is ever written over. What a run is held against is judged elsewhere.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::arguments::Reports;
use super::exit::Failure;
use crate::check::{Baseline, Run};
use crate::report;

/// The longest file that is read, in bytes.
const CAP: u64 = 16 << 20;

/// The baselines of a command line.
pub(super) struct Baselines {
    held: Option<(PathBuf, Baseline)>,
    write: Option<PathBuf>,
}

impl Baselines {
    /// Reads what is to be held, and refuses what must not be written over, before the run begins.
    pub(super) fn open(reports: &Reports) -> Result<Self, Failure> {
        let held = reports.baseline.as_ref().map(|file| Ok((file.clone(), required(file)?))).transpose()?;
        if let Some(file) = &reports.write_baseline {
            read(file)?;
        }
        Ok(Self { held, write: reports.write_baseline.clone() })
    }

    /// Records the run, then holds it.
    pub(super) fn apply(&self, run: &mut Run) -> Result<(), Failure> {
        if let Some(file) = &self.write {
            let baseline = Baseline::of(run);
            let refused =
                |error: std::io::Error| Failure::Broken(format!("{} can't be written: {error}", file.display()));
            replace(file, &report::baseline::render(&baseline)).map_err(refused)?;
            let count = report::summary::counted(baseline.findings.len(), "finding");
            run.notes.push(format!("{count} recorded in {}", file.display()));
        }
        if let Some((file, baseline)) = &self.held {
            baseline.hold(&file.display().to_string(), run);
        }
        Ok(())
    }
}

fn required(file: &Path) -> Result<Baseline, Failure> {
    read(file)?
        .ok_or_else(|| Failure::Usage(format!("{}: there is no such file; --write-baseline makes one", file.display())))
}

/// The baseline that stands in a file, or `None` where there is no file. Anything else is refused with its place.
fn read(path: &Path) -> Result<Option<Baseline>, Failure> {
    let refused = |detail: &dyn std::fmt::Display| Failure::Usage(format!("{}: {detail}", path.display()));
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(refused(&"not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&error)),
    }
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let mut json = Vec::new();
    opened.and_then(|file| file.take(CAP + 1).read_to_end(&mut json)).map_err(|error| refused(&error))?;
    if json.len() as u64 > CAP {
        return Err(refused(&format_args!("longer than {CAP} bytes")));
    }
    Baseline::read(&json).map(Some).map_err(|error| {
        let (line, column, said) = (error.line(), error.column(), error.to_string());
        let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
        Failure::Usage(format!("{}:{line}:{column}: no baseline: {said}", path.display()))
    })
}

/// Written beside it, then renamed over it; a draft that another one left under our name is never written through.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}
