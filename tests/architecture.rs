//! Holds the source to the plan of the house: who may import whom, how long a file is, how it opens, and what it may not be called.
//!
//! Reads the files of this package as tokens, so that comments, strings and line breaks cannot hide or fake a path. Judges no behaviour.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Which rooms a room may import; its own is always allowed. `cli`, which may import all, is not listed.
const ARROWS: [(&str, &[&str]); 8] = [
    ("sys", &[]),
    ("formats", &[]),
    ("snapshot", &[]),
    ("probe", &["sys", "formats", "snapshot"]),
    ("context", &["sys", "formats", "snapshot"]),
    ("check", &["snapshot"]),
    ("report", &["check", "snapshot"]),
    ("serve", &["sys"]),
];

/// A file longer than this holds more than one thing.
const LONGEST: usize = 400;

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this extension below a folder of the package, relative to the package and sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![package().join(folder)];
    while let Some(at) = folders.pop() {
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && path.file_name().unwrap() != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(package()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(package().join(path)).unwrap()
}

/// The modules that lead to a file of `src`: `src/report/table.rs` gives `report`, `table`.
fn module_of(path: &Path) -> Vec<String> {
    let parts = path.strip_prefix("src").unwrap().with_extension("");
    let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod" && part != "lib" && part != "main").collect()
}

/// The rooms that the tokens of a module name: what follows `crate::`, `$crate::`, `parallax::`, or as many `super::` as lead to
/// the top. Items under `#[cfg(test)]` are left out.
fn rooms_named(tokens: TokenStream, module: &[String], found: &mut BTreeSet<String>) {
    let tokens = without_tests(tokens.into_iter().collect());
    let mut index = 0;
    while index < tokens.len() {
        let within_path = index >= 2 && is_path_sign(&tokens[index - 2..index]);
        match &tokens[index] {
            TokenTree::Ident(word) if !within_path && (word == "crate" || word == "parallax") => {
                named_after(&tokens[index + 1..], found);
            }
            TokenTree::Ident(word) if !within_path && word == "super" => {
                let mut climbed = 1;
                while follows(&tokens[index..], "super") {
                    climbed += 1;
                    index += 3;
                }
                if climbed >= module.len() {
                    named_after(&tokens[index + 1..], found);
                }
            }
            TokenTree::Ident(word) if word == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(index + 1), tokens.get(index + 2))
                {
                    let inner: Vec<_> = module.iter().cloned().chain([name.to_string()]).collect();
                    rooms_named(body.stream(), &inner, found);
                    index += 2;
                }
            }
            TokenTree::Group(group) => rooms_named(group.stream(), module, found),
            _ => {}
        }
        index += 1;
    }
}

fn is_path_sign(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(first), TokenTree::Punct(second), ..]
        if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':')
}

/// Whether `here :: word` stands at the beginning.
fn follows(tokens: &[TokenTree], word: &str) -> bool {
    tokens.len() > 3 && is_path_sign(&tokens[1..]) && matches!(&tokens[3], TokenTree::Ident(ident) if ident == word)
}

/// The first segments after `::`, one or a group of them.
fn named_after(tokens: &[TokenTree], found: &mut BTreeSet<String>) {
    if tokens.len() < 3 || !is_path_sign(tokens) {
        return;
    }
    match &tokens[2] {
        TokenTree::Group(group) => {
            let mut begins = true;
            for token in group.stream() {
                match token {
                    TokenTree::Punct(sign) if sign.as_char() == ',' => begins = true,
                    token => {
                        if begins {
                            found.insert(token.to_string());
                        }
                        begins = false;
                    }
                }
            }
        }
        room => {
            found.insert(room.to_string());
        }
    }
}

/// Drops each item that `#[cfg(test)]` stands before: up to its body, or up to its semicolon.
fn without_tests(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_sign = matches!(&token, TokenTree::Punct(sign) if sign.as_char() == '#');
        let is_test = is_sign
            && matches!(tokens.peek(), Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)");
        if !is_test {
            kept.push(token);
            continue;
        }
        tokens.next();
        for dropped in tokens.by_ref() {
            match dropped {
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => break,
                TokenTree::Punct(sign) if sign.as_char() == ';' => break,
                _ => {}
            }
        }
    }
    kept
}

fn named_in(source: &str, module: &[&str]) -> Vec<String> {
    let module: Vec<_> = module.iter().map(|part| (*part).to_owned()).collect();
    let mut found = BTreeSet::new();
    rooms_named(source.parse().unwrap(), &module, &mut found);
    found.into_iter().collect()
}

#[test]
fn a_path_is_seen_however_it_is_written() {
    assert_eq!(named_in("use crate::sys::Root;", &["probe", "store"]), ["sys"]);
    assert_eq!(named_in("use crate::{cli, check::{Run, Finding}};", &["probe"]), ["check", "cli"]);
    assert_eq!(named_in("fn f() { format!(\"{}\", crate :: cli :: x()) }", &["probe"]), ["cli"]);
    assert_eq!(named_in("use super::super::cli::Style;", &["report", "table"]), ["cli"]);
    assert_eq!(named_in("mod inner { use super::super::super::cli; }", &["report", "table"]), ["cli"]);
    assert_eq!(named_in("#[cfg(test)] use crate::x; use crate::sys;", &["report"]), ["sys"]);
}

#[test]
fn what_only_looks_like_a_path_or_is_a_test_is_not_seen() {
    let none: [&str; 0] = [];
    assert_eq!(named_in("use super::{Style, text};", &["report", "table"]), none);
    assert_eq!(named_in("// crate::cli\nconst X: &str = \"crate::cli\";", &["report"]), none);
    assert_eq!(named_in("#[cfg(test)] mod tests { use crate::cli; }", &["report"]), none);
    assert_eq!(named_in("use crate_::x; use a::parallax::cli;", &["report"]), none);
}

#[test]
fn imports_follow_the_arrows() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files("src", "rs") {
        let module = module_of(&path);
        let Some(room) = module.first() else { continue };
        seen += 1;
        if room == "cli" {
            continue;
        }
        let allowed = arrows.get(room.as_str()).unwrap_or_else(|| panic!("{} is in no room", path.display()));
        let mut named = BTreeSet::new();
        rooms_named(read(&path).parse().unwrap(), &module, &mut named);
        let refused = named.into_iter().filter(|name| name != room && !allowed.contains(&name.as_str()));
        wrong.extend(refused.map(|name| format!("{} imports {name}", path.display())));
    }
    assert!(seen > 20, "only {seen} files were looked at");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_opens_by_saying_what_lives_there() {
    let all = ["src", "tests", "fuzz", "benches"].map(|folder| files(folder, "rs")).concat();
    assert!(all.len() > 20);
    let silent: Vec<_> = all.into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let counted = files("src", "rs").into_iter().map(|path| (read(&path).lines().count(), path));
    let long: Vec<_> = counted.filter(|(lines, _)| *lines > LONGEST).collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:#?}");
}

#[test]
fn nothing_is_called_by_a_name_that_says_nothing() {
    let empty = ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc", "imp"];
    let says_nothing =
        |path: &PathBuf| path.with_extension("").iter().any(|part| empty.contains(&part.to_str().unwrap()));
    let named: Vec<_> = files("src", "rs").into_iter().filter(says_nothing).collect();
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn a_family_has_the_same_name_in_every_room() {
    let mut missing = BTreeSet::new();
    for check in files("checks", "toml") {
        let family = check.iter().nth(1).unwrap().to_str().unwrap();
        for room in ["src/probe", "src/snapshot/facts"] {
            let stem = package().join(room).join(family);
            if !stem.is_dir() && !stem.with_extension("rs").is_file() {
                missing.insert(format!("{} has no {room}/{family}.rs", check.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
