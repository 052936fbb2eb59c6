//! The environment of a context: parsed from `/proc/PID/environ`, kept in memory that is wiped, and never written.
//!
//! `/proc/PID/environ` is what the process was started with; what it set later is not in it (`proc_pid_environ(5)`). Probes ask for names
//! they know. A process may have written over it; then it is what its engine starts processes there with. Which values may appear in a fact is
//! decided by each probe, for names that hold no secret.

use std::collections::BTreeMap;

use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};

/// Variables by name.
pub struct Environment {
    variables: BTreeMap<String, Secret>,
    is_of_engine: bool,
}

impl Environment {
    /// Reads the NUL-separated form. The first of two equal names holds, as `getenv(3)` finds it.
    pub fn parse(text: &[u8]) -> Self {
        let mut variables = BTreeMap::new();
        for entry in text.split(|byte| *byte == 0) {
            let mut halves = entry.splitn(2, |byte| *byte == b'=');
            if let (Some(name), Some(value)) = (halves.next(), halves.next())
                && let Ok(name) = std::str::from_utf8(name)
                && !name.is_empty()
            {
                variables.entry(name.to_owned()).or_insert_with(|| Secret::new(value.to_vec()));
            }
        }
        Self { variables, is_of_engine: false }
    }

    /// Reads what an engine says that it starts processes with.
    pub fn of_engine(text: &[u8]) -> Self {
        Self { is_of_engine: true, ..Self::parse(text) }
    }

    /// Whether it is an engine's word, in place of what the process itself was started with.
    pub fn is_of_engine(&self) -> bool {
        self.is_of_engine
    }

    /// The value of a variable: absent when it is not set, unobserved when it is not UTF-8.
    pub fn text(&self, name: &str) -> Fact<&str> {
        match self.variables.get(name).map(Secret::expose_str) {
            Some(Some(text)) => Fact::Present(text),
            Some(None) => {
                let detail = "the variable's value is not UTF-8".to_owned();
                Fact::Unobserved(Reason::Malformed { path: name.to_owned(), line: None, detail })
            }
            None => Fact::Absent,
        }
    }

    /// The value of a variable, if it is set and text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).and_then(Secret::expose_str)
    }

    /// The value of a variable as a secret.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.variables.get(name)
    }

    /// The names that are set, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use crate::snapshot::{Fact, Reason};

    #[test]
    fn a_variable_that_is_no_text_is_not_taken_for_unset() {
        let environment = Environment::parse(b"HOME=/h\xff\0PATH=/bin\0");
        assert!(matches!(environment.text("HOME"), Fact::Unobserved(Reason::Malformed { path, .. }) if path == "HOME"));
        assert_eq!((environment.text("PATH"), environment.text("TERM")), (Fact::Present("/bin"), Fact::Absent));
    }
}
