use super::finding::*;
#[derive(Debug)]
pub struct CatalogueError;
impl std::fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")
    }
}
impl std::error::Error for CatalogueError {}
impl miette::Diagnostic for CatalogueError {}
pub struct Catalogue;
pub struct Check;
pub struct Options {
    pub today: jiff::civil::Date,
    pub waivers: Vec<crate::cli::configuration::Waiver>,
}
impl Catalogue {
    pub fn builtin() -> Result<Self, CatalogueError> {
        Ok(Catalogue)
    }
    pub fn with_directory(self, _: &std::path::Path) -> Result<Self, CatalogueError> {
        Ok(self)
    }
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        [].iter()
    }
}
impl Check {
    pub fn id(&self) -> &str {
        ""
    }
    pub fn title(&self) -> &str {
        ""
    }
    pub fn severity(&self) -> Severity {
        Severity::Error
    }
    pub fn gap(&self) -> &str {
        ""
    }
    pub fn relation_text(&self) -> String {
        String::new()
    }
    pub fn facts(&self) -> &[String] {
        &[]
    }
    pub fn why(&self) -> &str {
        ""
    }
    pub fn fix(&self) -> &str {
        ""
    }
    pub fn caused_by(&self) -> &[String] {
        &[]
    }
    pub fn source(&self) -> &str {
        ""
    }
}
pub fn evaluate(_: &Catalogue, _: &[crate::snapshot::Snapshot], _: &Options) -> Result<Vec<Finding>, CatalogueError> {
    Ok(vec![])
}
pub mod examples {
    pub struct R {
        pub name: String,
        pub failure: Option<String>,
    }
    pub fn run(_: &super::Catalogue) -> Result<Vec<R>, super::CatalogueError> {
        Ok(vec![])
    }
}
pub fn schema() -> schemars::Schema {
    schemars::json_schema!({})
}
