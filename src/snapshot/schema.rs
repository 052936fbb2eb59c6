//! The JSON Schema of the snapshot, and the catalogue of fact paths that check files are typed against: both are generated from
//! the types, so that neither can disagree with them.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::facts::Facts;
use super::record::Document;

/// The JSON Schema of a snapshot document.
pub fn document() -> Schema {
    schemars::schema_for!(Document)
}

/// The JSON Schema of the facts alone, with every reference resolved in place.
pub fn facts() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<Facts>().to_value()
}

/// One fact as the types describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactPath {
    /// Such as `store.db.mode`, or `network.endpoints[].listening` for the elements of a list.
    pub path: String,
    /// `text`, `number`, `true or false`, `list of …`.
    pub type_name: String,
    /// What it means, in which unit, and where it is read.
    pub meaning: String,
    /// Whom a server tells it.
    pub disclosure: Disclosure,
}

/// Whom a server tells a fact, as the type marks it (`x-disclosure` in the schema). The strictest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disclosure {
    /// `public`: everybody who asks.
    Public,
    /// No mark: whose context it is of.
    Own,
    /// `host`: nobody but the host, for it is the host's view of processes.
    Host,
    /// `never`: nobody at all; it may be compared only.
    Never,
}

impl Disclosure {
    fn of(property: &Value) -> Self {
        match property.get("x-disclosure").and_then(Value::as_str) {
            Some("public") => Self::Public,
            Some("host") => Self::Host,
            None => Self::Own,
            // A mark that is not known is no permission.
            Some(_) => Self::Never,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "public: callers of `parallax serve` are told it of every context",
            Self::Own => "callers of `parallax serve` are told it of their own context only",
            Self::Host => "callers of `parallax serve` are not told it",
            Self::Never => "never told to anybody, only compared",
        }
    }
}

/// Every fact, by path.
pub fn fact_paths() -> Vec<FactPath> {
    let mut found = Vec::new();
    walk(&facts(), "", &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn walk(schema: &Value, path: &str, found: &mut Vec<FactPath>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let inner = not_null(property);
        if inner.get("properties").is_some() {
            walk(inner, &at, found);
            continue;
        }
        let disclosure = Disclosure::of(property);
        found.push(FactPath { path: at.clone(), type_name: type_name(inner), meaning, disclosure });
        if let Some(items) = inner.get("items") {
            walk(not_null(items), &format!("{at}[]"), found);
        }
    }
}

/// The schema without the alternative `null`.
fn not_null(schema: &Value) -> &Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let real =
        alternatives.and_then(|all| all.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")));
    real.unwrap_or(schema)
}

fn type_name(schema: &Value) -> String {
    let word = match schema.get("type") {
        Some(Value::String(word)) => word.as_str(),
        Some(Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).find(|word| *word != "null").unwrap_or("value")
        }
        _ => "value",
    };
    match word {
        "string" => "text".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => format!(
            "list of {}",
            schema.get("items").map_or_else(|| "values".to_owned(), |items| element(not_null(items)))
        ),
        other => other.to_owned(),
    }
}

fn element(schema: &Value) -> String {
    if schema.get("properties").is_some() { "entries".to_owned() } else { format!("{}s", type_name(schema)) }
}

#[cfg(test)]
mod tests {
    use super::{Disclosure, fact_paths};

    #[test]
    fn a_fingerprint_is_never_told_and_what_is_not_marked_is_told_to_its_own_context_only() {
        let facts = fact_paths();
        let of = |path: &str| facts.iter().find(|fact| fact.path == path).map(|fact| fact.disclosure);
        for fact in facts.iter().filter(|fact| fact.path.ends_with("fingerprint")) {
            assert_eq!(fact.disclosure, Disclosure::Never, "{}", fact.path);
        }
        assert_eq!(of("store.db.mode"), Some(Disclosure::Public));
        assert_eq!(of("store.db.path"), Some(Disclosure::Own));
        assert_eq!(of("store.database.lock_holders[].pid"), Some(Disclosure::Host));
    }

    #[test]
    fn every_fact_has_a_type_and_a_sentence() {
        let facts = fact_paths();
        assert!(facts.len() > 100, "{}", facts.len());
        for fact in &facts {
            assert!(!fact.meaning.is_empty(), "{} has no sentence", fact.path);
            assert_ne!(fact.type_name, "value", "{} has no type", fact.path);
        }
        assert!(
            facts.iter().any(|fact| fact.path == "network.endpoints[].listening" && fact.type_name == "true or false")
        );
        assert!(facts.iter().any(|fact| fact.path == "store.db.mount.read_only"));
    }
}
