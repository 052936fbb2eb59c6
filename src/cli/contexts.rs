//! `parallax contexts`: which contexts exist here and how each can be entered, or why not. Enters none but the runners', whose
//! files declare contexts that do not run yet.

use serde_json::json;

use super::arguments::{Contexts, Global};
use super::exit::{Exit, Failure};
use super::{configuration, diagnose, gather, output};
use crate::context::{Context, Discovered, IdentitySource};
use crate::report::text;
use crate::snapshot::{ContextKind, Header};

/// Lists them.
pub(super) fn run(arguments: &Contexts, global: &Global) -> Result<Exit, Failure> {
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let found = gather::contexts(&arguments.looking, &configuration)?;
    let text = if arguments.json { document(&found)? } else { table(&found) };
    output::print(&text);
    for note in &found.notes {
        output::say(note);
    }
    Ok(Exit::Coherent)
}

fn table(found: &Discovered) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for context in &found.contexts {
        rows.push([shown(&context.header.id), how(context), about(&context.header)]);
    }
    for refused in &found.refused {
        rows.push([
            shown(&refused.header.id),
            format!("not enterable: {}", text::plain(&refused.reason)),
            about(&refused.header),
        ]);
    }
    rows.sort();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    let lines: Vec<String> = rows
        .iter()
        .map(|[id, how, about]| format!("{id:first$}  {how:second$}  {about}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn shown(id: &str) -> String {
    text::short(id, 60)
}

/// How a context can be entered.
fn how(context: &Context) -> String {
    if context.header.kind == ContextKind::Declared {
        return "declared, does not run yet".to_owned();
    }
    let take = &context.take;
    let identity = match take.source {
        IdentitySource::Own => "natively".to_owned(),
        IdentitySource::Process => format!("as uid {}", take.uid),
        IdentitySource::Accounts => format!("as uid {}, without a process", take.uid),
    };
    let mut joins = Vec::new();
    if take.join_network {
        joins.push("network");
    }
    if take.join_user {
        joins.push("user namespace");
    }
    let joined = if joins.is_empty() { String::new() } else { format!(", joining {}", joins.join(" and ")) };
    let pid = context.process.as_ref().map(|process| format!(" (pid {})", process.pid)).unwrap_or_default();
    format!("{identity}{joined}{pid}")
}

fn about(header: &Header) -> String {
    let image = header.image.as_ref().map(|image| format!("image {}", text::short(image, 60)));
    let role = header.role.as_ref().map(|role| format!("role {}", text::plain(role)));
    let limits = header.limits.iter().map(|limit| text::plain(limit));
    let chain = header.chain.iter().map(|reason| text::plain(reason));
    image.into_iter().chain(role).chain(chain).chain(limits).collect::<Vec<_>>().join("; ")
}

fn document(found: &Discovered) -> Result<String, Failure> {
    let enterable = found.contexts.iter().map(|context| json!({"context": context.header, "entry": how(context)}));
    let refused = found.refused.iter().map(|one| json!({"context": one.header, "refused": one.reason}));
    let all: Vec<_> = enterable.chain(refused).collect();
    text::json(&json!({"schema": "parallax.contexts/1", "contexts": all, "notes": found.notes}))
        .map_err(|error| Failure::Broken(error.to_string()))
}
