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
