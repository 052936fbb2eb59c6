//! `parallax compare`: recorded snapshots, on any machine. Reads the files that are named and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::arguments::{Compare, Global};
use super::evaluate::{self, Views};
use super::exit::{Exit, Failure};
use super::{configuration, diagnose, output};
use crate::snapshot::Snapshot;

/// The most that is read of one snapshot file, in bytes.
const CAP: u64 = 64 << 20;

/// Compares recorded snapshots.
pub(super) fn run(arguments: &Compare, global: &Global) -> Result<Exit, Failure> {
    let started = evaluate::Started::now();
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let baselines = output::begin("compare", &arguments.reports)?;
    let mut read: Vec<(PathBuf, Snapshot)> = Vec::new();
    for path in &arguments.paths {
        for file in files(path)? {
            let snapshot = self::read(&file)?;
            read.push((file, snapshot));
        }
    }
    tell_apart(&mut read)?;
    let views = Views { snapshots: read.into_iter().map(|(_, snapshot)| snapshot).collect(), ..Views::default() };
    let mut run = evaluate::run("compare", &started, views, &configuration, arguments.reports.allow_unknown)?;
    baselines.apply(&mut run)?;
    Ok(output::finish(&run, &arguments.reports, global))
}

/// A file, or the `.json` files of a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let refused = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    if !std::fs::metadata(path).map_err(refused)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(refused)? {
        let file = entry.map_err(refused)?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Failure::Usage(format!("{}: no snapshot (*.json) in this directory", path.display())));
    }
    found.sort();
    Ok(found)
}

/// Reads one snapshot; a file that is none is named with the place where it stops being one.
pub(super) fn read(file: &Path) -> Result<Snapshot, Failure> {
    let refused = |detail: &dyn std::fmt::Display| Failure::Usage(format!("{}: {detail}", file.display()));
    let metadata = std::fs::metadata(file).map_err(|error| refused(&error))?;
    if !metadata.is_file() {
        return Err(refused(&"not a regular file"));
    }
    if metadata.len() > CAP {
        return Err(refused(&format_args!("longer than {CAP} bytes")));
    }
    let text = std::fs::read(file).map_err(|error| refused(&error))?;
    Snapshot::from_json(&text).map_err(|error| refused(&error))
}

/// Contexts of several hosts may have equal ids, and then carry the host's name; two views of one context can't be compared with a third.
fn tell_apart(read: &mut [(PathBuf, Snapshot)]) -> Result<(), Failure> {
    let boots: BTreeSet<String> = read.iter().map(|(_, snapshot)| snapshot.context.boot.clone()).collect();
    if boots.len() > 1 {
        for (_, snapshot) in read.iter_mut() {
            let header = &mut snapshot.context;
            header.id = format!("{}/{}", header.host, header.id);
            header.name = format!("{}/{}", header.host, header.name);
        }
    }
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for (file, snapshot) in read.iter() {
        if let Some(other) = seen.insert(&snapshot.context.id, file) {
            let id = &snapshot.context.id;
            return Err(Failure::Usage(format!(
                "{} and {} are both snapshots of {id}",
                other.display(),
                file.display()
            )));
        }
    }
    Ok(())
}
