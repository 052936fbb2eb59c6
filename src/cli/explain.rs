//! `parallax explain`: why a check exists, what fails, how to mend it; and what a fact means. Works from the check files and the types.

use super::arguments::{Explain, Global};
use super::exit::{Exit, Failure};
use super::{checks, output};
use crate::check::{Catalogue, Check};
use crate::report::Format;
use crate::report::explain::{CheckPage, FactPage, check_text, fact_text};
use crate::snapshot::schema;

/// Explains a check or a fact.
pub(super) fn run(arguments: &Explain, global: &Global) -> Result<Exit, Failure> {
    let catalogue = checks::with_projects(global)?;
    let style = output::style(global, Format::Table);
    let id = arguments.id.as_str();
    if let Some(check) = catalogue.checks().find(|check| check.id() == id) {
        output::print(&check_text(&check_page(check), &style));
        return Ok(Exit::Coherent);
    }
    let facts = fact_pages(&catalogue);
    let wanted = id.replace("[]", "");
    let matching: Vec<&FactPage> = facts.iter().filter(|fact| fact.path.replace("[]", "") == wanted).collect();
    if let Some(fact) = matching.first() {
        output::print(&fact_text(fact, &style));
        return Ok(Exit::Coherent);
    }
    Err(Failure::Usage(unknown(id, &catalogue, &facts)))
}

fn unknown(id: &str, catalogue: &Catalogue, facts: &[FactPage]) -> String {
    let names = catalogue.checks().map(|check| check.id().to_owned()).chain(facts.iter().map(|fact| fact.path.clone()));
    let nearest = names.map(|name: String| (strsim::damerau_levenshtein(id, &name), name)).min();
    let hint = match nearest {
        Some((distance, name)) if distance <= 4 => format!("; did you mean {name}?"),
        _ => "; `parallax checks list` lists the checks".to_owned(),
    };
    format!("no check and no fact is called {id}{hint}")
}

/// What there is to say about a check.
pub(super) fn check_page(check: &Check) -> CheckPage {
    CheckPage {
        id: check.id().to_owned(),
        title: check.title().to_owned(),
        severity: check.severity().word().to_owned(),
        gap: check.gap().to_owned(),
        relation: check.relation(),
        facts: check.facts_read(),
        why: check.why().to_owned(),
        fix: check.fix().to_owned(),
        caused_by: check.caused_by().to_vec(),
        source: check.file().to_owned(),
    }
}

/// Every fact, in the order of its path.
pub(super) fn fact_pages(catalogue: &Catalogue) -> Vec<FactPage> {
    schema::fact_paths()
        .into_iter()
        .map(|fact| {
            let reads = |check: &&Check| check.facts_read().contains(&fact.path);
            FactPage {
                read_by: catalogue.checks().filter(reads).map(|check| check.id().to_owned()).collect(),
                path: fact.path,
                type_: fact.type_name,
                doc: fact.meaning,
            }
        })
        .collect()
}
