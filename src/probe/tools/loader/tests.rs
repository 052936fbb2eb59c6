//! Names, versions and paths as loaders read them.

use super::{is_musl_itself, is_relative, newest};

#[test]
fn the_newest_version_is_so_by_number() {
    let versions = ["GLIBC_2.9", "GLIBC_2.38", "GLIBC_PRIVATE", "GLIBC_2.4"].map(str::to_owned);
    assert_eq!(newest(&versions, "GLIBC"), Some("GLIBC_2.38"));
    assert_eq!(newest(&versions, "GLIBCXX"), None);
}

#[test]
fn musl_answers_for_its_own_names_only() {
    assert!(is_musl_itself("libc.musl-x86_64.so.1") && is_musl_itself("libm.so.6"));
    assert!(!is_musl_itself("libcrypto.so.3"));
}

#[test]
fn a_path_with_a_variable_of_the_loader_is_not_taken_as_searched() {
    assert!(is_relative("$ORIGIN/../$LIB") && is_relative("lib") && is_relative(""));
    assert!(!is_relative("$ORIGIN/../lib") && !is_relative("/opt/lib"));
}
