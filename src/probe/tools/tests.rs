//! The tools of small roots, by what PATH says.

use std::os::unix::fs::PermissionsExt;

use super::{observe, path};
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::Tools;
use crate::snapshot::{Fact, List};
use crate::sys::Root;
use crate::sys::process::ProcessDirectory;

/// A root with `sh` in `/bin` and `env` in `/usr/bin`.
fn root() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in ["bin/sh", "usr/bin/env"] {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(&path, "text").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    directory
}

fn look(directory: &tempfile::TempDir, environment: &[u8]) -> Tools {
    let root = Root::open(directory.path()).expect("the root");
    observe(&Target {
        root: &root,
        boot: "boot",
        process: &ProcessDirectory::open(std::process::id()).expect("our own process").texts(),
        live: true,
        environment: &Fact::Present(Environment::parse(environment)),
        wishes: &Wishes::default(),
        key: None,
        locks: &Ok(Vec::new()),
        incomplete: &[],
    })
}

fn names(found: &List<super::Tool>) -> Vec<(&str, Option<&str>)> {
    found.items.iter().map(|tool| (tool.name.as_str(), tool.path.present().map(String::as_str))).collect()
}

#[test]
fn an_empty_entry_at_the_end_of_path_leaves_certain_what_was_found_before_it() {
    let found = look(&root(), b"PATH=/bin:/usr/bin:");
    let list = found.found.present().expect("a list");
    assert_eq!(names(list), [("sh", Some("/bin/sh")), ("env", Some("/usr/bin/env"))]);
    assert_eq!(list.more, None);
    assert_eq!(found.missing, Fact::Unobserved(path::working_directory()));
}

#[test]
fn a_relative_entry_makes_uncertain_only_what_a_later_one_holds() {
    let found = look(&root(), b"PATH=/bin:tools:/usr/bin");
    let list = found.found.present().expect("a list");
    assert_eq!(names(list), [("sh", Some("/bin/sh")), ("env", None)]);
    assert_eq!(list.items[1].startable, Fact::Unobserved(path::working_directory()));
    assert_eq!(list.more, None);
}

#[test]
fn without_path_nothing_is_found_and_nothing_is_said_to_be_missing() {
    let found = look(&root(), b"HOME=/h");
    assert_eq!((found.found, found.missing), (Fact::Absent, Fact::Absent));
    assert_eq!(found.path, Fact::Absent);
}
