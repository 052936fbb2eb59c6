//! The generated pages of `docs/`: one per check, one for the facts of each family, and the JSON Schemas. The suite compares them with what is
//! committed, so that they can't fall behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::arguments::Document;
use super::exit::{Exit, Failure};
use super::{checks, explain, output, schema};
use crate::report::explain::{check_markdown, fact_markdown};

/// Writes every page below the directory.
pub(super) fn run(directory: &Path) -> Result<Exit, Failure> {
    let pages = pages()?;
    for (name, content) in &pages {
        write(&directory.join(name), content)?;
    }
    output::print(&format!("{} pages below {}", pages.len(), directory.display()));
    Ok(Exit::Coherent)
}

fn write(file: &Path, content: &str) -> Result<(), Failure> {
    let refused = |error: std::io::Error| Failure::Broken(format!("{} can't be written: {error}", file.display()));
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(refused)?;
    }
    std::fs::write(file, content).map_err(refused)
}

/// All pages by their path below `docs/`.
fn pages() -> Result<BTreeMap<PathBuf, String>, Failure> {
    let catalogue = checks::builtin()?;
    let mut pages = BTreeMap::new();
    let mut index = "# Checks\n\nGenerated from `checks/`; `parallax explain ID` prints the same.\n\n| check | severity | claim |\n|---|---|---|\n".to_owned();
    for check in catalogue.checks() {
        let id = check.id();
        index.push_str(&format!("| [`{id}`](checks/{id}.md) | {} | {} |\n", check.severity().word(), check.title()));
        pages.insert(format!("checks/{id}.md").into(), check_markdown(&explain::check_page(check)));
    }
    pages.insert("checks.md".into(), index);
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    for fact in explain::fact_pages(&catalogue) {
        let family = fact.path.split('.').next().unwrap_or_default().to_owned();
        let page = families.entry(family).or_default();
        page.push_str(&fact_markdown(&fact).replacen("# ", "## ", 1));
        page.push('\n');
    }
    for (family, facts) in families {
        let head =
            format!("# Facts: {family}\n\nGenerated from the types; `parallax explain FACT` prints the same.\n\n");
        pages.insert(format!("facts/{family}.md").into(), head + facts.trim_end() + "\n");
    }
    let documents = [
        ("snapshot", Document::Snapshot),
        ("findings", Document::Findings),
        ("baseline", Document::Baseline),
        ("check", Document::Check),
        ("config", Document::Config),
    ];
    for (name, document) in documents {
        pages.insert(format!("schema/{name}.json").into(), schema::text(document)? + "\n");
    }
    Ok(pages)
}
