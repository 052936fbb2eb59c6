//! Holds the hand-written pages to the code: the paths that they name exist, the commands that they show are understood, and the files
//! that they print are accepted. The generated pages are compared with a fresh set by `.ci/run`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The pages that people wrote: path below the package, and text.
fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).into();
    for entry in fs::read_dir(package().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let generated = path.file_name().unwrap() == "checks.md";
        if path.extension().is_some_and(|extension| extension == "md") && !generated {
            paths.push(path.strip_prefix(package()).unwrap().to_owned());
        }
    }
    paths.sort();
    assert!(paths.len() > 8, "{paths:?}");
    let read = |path: &PathBuf| fs::read_to_string(package().join(path)).unwrap();
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// The blocks between fences of this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Code spans outside of fenced blocks.
fn spans(text: &str) -> Vec<String> {
    let outside: String = text.split("```").step_by(2).collect();
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn parallax(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parallax")).args(arguments).current_dir(directory).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_path_that_a_page_names_exists() {
    let rooms = ["src/", "checks/", "tests/", "docs/", "benches/", ".ci/", "fixtures/"];
    // The pages show how a file of one's own would be called.
    let examples = ["checks/team/one-nix.toml"];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for span in spans(&text) {
            let path = span.split([' ', ':']).next().unwrap().trim_start_matches("./");
            let placeholder = path.contains("FAMILY") || path.contains("FORMAT") || path.contains("NAME");
            if !rooms.iter().any(|room| path.starts_with(room)) || placeholder || examples.contains(&path) {
                continue;
            }
            seen += 1;
            // `checks/` is a directory of anybody's project too; that one need not be there.
            if !package().join(path).exists() {
                wrong.push(format!("{page}: `{path}`"));
            }
        }
    }
    assert!(seen > 40, "only {seen} paths were looked at");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        let folder = package().join(&page).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { package().join(&page) } else { folder.join(file) };
            let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let is_there = match (path.exists(), anchor) {
                (exists, "") => exists,
                (false, _) => false,
                (true, anchor) => fs::read_to_string(&path)
                    .unwrap()
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| heading(line) == anchor),
            };
            if !is_there {
                wrong.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The command lines of a page: those in fenced blocks and those in code spans.
fn command_lines(text: &str) -> Vec<String> {
    let fenced = ["sh", "yaml", "ini"].into_iter().flat_map(|language| blocks(text, language));
    let lines: Vec<String> = fenced.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let starts = ["sudo ", "- ", "ExecStart=", "/usr/local/bin/"];
    let bare = |line: &str| {
        let mut line = line.split('#').next().unwrap().split(" > ").next().unwrap().trim().to_owned();
        while let Some(rest) = starts.iter().find_map(|start| line.strip_prefix(start)) {
            line = rest.to_owned();
        }
        line.replace("cargo run --release -- ", "parallax ").replace("cargo run -- ", "parallax ")
    };
    lines.iter().chain(&spans(text)).map(|line| bare(line)).filter(|line| line.starts_with("parallax ")).collect()
}

#[test]
fn every_command_that_a_page_shows_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for line in command_lines(&text) {
            // With --help, clap still refuses what it does not know in front of it, and runs nothing.
            let options: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
            let mut words: Vec<&str> = options.iter().copied().take_while(|word| !word.starts_with('-')).collect();
            // What stands for something of the reader's own.
            words.retain(|word| word.chars().any(char::is_lowercase));
            let with_values = options.iter().filter(|word| word.starts_with("--"));
            let help = parallax(&[&words[..], &["--help"]].concat(), directory.path());
            let text = said(&help);
            seen.insert(words.first().copied().unwrap_or_default().to_owned());
            if !help.status.success() {
                wrong.push(format!("{page}: {line}: {text}"));
            }
            for option in with_values.filter(|option| !text.contains(*option)) {
                wrong.push(format!("{page}: {line}: there is no {option}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for command in ["doctor", "check", "probe", "compare", "contexts", "explain", "checks", "schema", "completions"] {
        assert!(seen.contains(command), "no page shows parallax {command}; shown are {seen:?}");
    }
}

#[test]
fn what_the_pages_explain_can_be_explained() {
    for (page, text) in pages() {
        for line in command_lines(&text) {
            let Some(id) = line.strip_prefix("parallax explain ").map(str::trim) else { continue };
            if id.chars().any(char::is_lowercase) {
                let output = parallax(&["explain", id], &package());
                assert!(output.status.success(), "{page}: {line}: {}", said(&output));
            }
        }
    }
}

#[test]
fn the_configuration_that_a_page_prints_is_accepted() {
    let text = fs::read_to_string(package().join("docs/getting-started.md")).unwrap();
    let block = blocks(&text, "toml").into_iter().find(|block| block.contains("[[waive]]")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("parallax.toml");
    fs::write(&file, &block).unwrap();
    let output = parallax(&["contexts", "--config", file.to_str().unwrap()], directory.path());
    assert!(output.status.success(), "{}", said(&output));
    let schema = parallax(&["schema", "config"], directory.path());
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        let heads = [format!("[[{key}]]"), format!("[{key}]")];
        let shown = block.lines().any(|line| line.starts_with(&format!("{key} ")) || heads.contains(&line.to_owned()));
        assert!(shown, "docs/getting-started.md does not explain {key}");
    }
}

#[test]
fn the_check_that_a_page_prints_passes_its_own_examples() {
    let text = fs::read_to_string(package().join("docs/adding-a-check.md")).unwrap();
    let block = blocks(&text, "toml").into_iter().find(|block| block.contains("title ")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let checks = directory.path().join("checks");
    fs::create_dir_all(checks.join("team")).unwrap();
    let file = checks.join("team/one-nix.toml");
    fs::write(&file, &block).unwrap();
    let tested = said(&parallax(&["checks", "test", "checks"], directory.path()));
    assert!(!tested.contains("team/one-nix"), "{tested}");
    // And that it is read at all shows by what a misspelling does.
    fs::write(&file, block.replace("client.version", "client.versoin")).unwrap();
    let refused = parallax(&["checks", "test", "checks"], directory.path());
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("one-nix.toml:8:"), "{}", said(&refused));
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let readme = fs::read_to_string(package().join("README.md")).unwrap();
    let documented: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|word| word.parse::<u8>().is_ok())
        .collect();
    use parallax::cli::exit::Exit;
    let all = [Exit::Coherent, Exit::Incoherent, Exit::Usage, Exit::Undetermined, Exit::Warnings, Exit::Failed];
    let codes: Vec<String> = all.iter().map(|exit| exit.code().to_string()).collect();
    assert_eq!(documented, codes);
}
