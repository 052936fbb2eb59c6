//! Tells cargo that the catalogue of checks is part of the binary, so that a file that is added to it is embedded.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    watch(Path::new("checks"))
}

/// Cargo looks at a directory's own time and at what lies below it; each directory is named all the same, so that a file
/// that is added or taken away is noticed whichever way cargo walks.
fn watch(directory: &Path) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", directory.display());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            watch(&entry.path())?;
        }
    }
    Ok(())
}
