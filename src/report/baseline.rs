//! The baseline as it is written: one finding per line, sorted, so that a review of a change shows what came and went.

use super::text;
use crate::check::Baseline;

/// The document; the same findings give the same bytes.
pub fn render(baseline: &Baseline) -> String {
    let line = |value: &dyn Fn() -> serde_json::Result<String>| value().unwrap_or_default();
    let schema = line(&|| text::json_line(&baseline.schema));
    let findings: Vec<_> =
        baseline.findings.iter().map(|entry| format!("    {}", line(&|| text::json_line(entry)))).collect();
    match findings.as_slice() {
        [] => format!("{{\n  \"schema\": {schema},\n  \"findings\": []\n}}\n"),
        findings => format!("{{\n  \"schema\": {schema},\n  \"findings\": [\n{}\n  ]\n}}\n", findings.join(",\n")),
    }
}
