//! Reports: golden renderings of each format, and JUnit read back by two strict readers that share no code with its writer.
//!
//! The runs are built here; nothing is probed. The second reader is expat, by way of python3's `xml.etree`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use parallax::check::finding::Waived;
use parallax::check::{ContextNote, Finding, Outcome, Participant, Run, Severity, Unseen};
use parallax::report::{Format, Style, failed_run, json, junit, render, table};
use proptest::prelude::*;

const HOSTILE: &str = "x]]></failure></testcase><testcase name=\"forged\"/>\u{1b}[2J\u{9b}31m\0\n\r\t\u{202e}<script>alert(1)</script>&amp;\u{fffe}\u{ffff}\u{85}'\"";

fn side(name: &str, contexts: &[&str], values: &[(&str, &str)]) -> Participant {
    Participant {
        name: name.into(),
        contexts: contexts.iter().map(|id| (*id).into()).collect(),
        values: values.iter().map(|(path, value)| ((*path).into(), (*value).into())).collect(),
    }
}

fn row(check: &str, subject: &str, outcome: Outcome) -> Finding {
    Finding {
        check: check.into(),
        title: "A claim that must hold".into(),
        gap: "definition-vs-runtime".into(),
        severity: Severity::Error,
        outcome,
        subject: subject.into(),
        participants: Vec::new(),
        message: String::new(),
        why: String::new(),
        fix: String::new(),
        unseen: Vec::new(),
        caused_by: None,
        waiver: None,
        comparisons: u64::from(outcome == Outcome::Coherent || outcome == Outcome::Incoherent),
        about: Vec::new(),
    }
}

fn context(id: &str, entry: &str, limits: &[&str]) -> ContextNote {
    let limits = limits.iter().map(|limit| (*limit).into()).collect();
    ContextNote { id: id.into(), name: id.into(), entry: entry.into(), limits, took_ms: 3, unobserved: 2 }
}

fn run(findings: Vec<Finding>) -> Run {
    Run {
        command: "doctor".into(),
        host: "ci-1".into(),
        job: None,
        version: "0.1.0".into(),
        started_ms: 1_763_000_000_000,
        took_ms: 41,
        contexts: vec![context("host", "native", &[]), context("container:job", "entered", &[])],
        off_chain: 14,
        notes: Vec::new(),
        missing: Vec::new(),
        allow_unknown: false,
        findings,
    }
}

fn one_writer() -> Finding {
    Finding {
        participants: vec![
            side(
                "container:job",
                &["container:job"],
                &[("store.db.identity", "8:1:77"), ("store.db.writable", "yes"), ("store.chosen.kind", "local")],
            ),
            side(
                "service:nix-daemon",
                &["host", "service:nix-daemon", "user:root"],
                &[("store.db.identity", "8:1:77"), ("store.db.writable", "yes"), ("store.chosen.kind", "daemon")],
            ),
        ],
        message: "container:job writes /nix/var/nix/db/db.sqlite itself, beside service:nix-daemon, which owns it".into(),
        why: "Two writers do not see each other's locks: the database is locked, busy or corrupt.\n\nSQLite's locks do not reach \
              over every mount."
            .into(),
        fix: "Set NIX_REMOTE=daemon in the job and mount the database read-only".into(),
        ..row("store/one-writer", "8:1:77: container:job, service:nix-daemon", Outcome::Incoherent)
    }
}

fn unknown_row(check: &str, severity: Severity) -> Finding {
    let unseen = Unseen {
        context: "container:db".into(),
        fact: "store.db.mode".into(),
        reason: "/nix/var/nix/db could not be read (EACCES)".into(),
    };
    let message = "store.db.mode could not be compared".into();
    Finding { severity, unseen: vec![unseen], message, ..row(check, "container:db", Outcome::Unknown) }
}

fn incoherent() -> Run {
    let cause = ("store/one-writer".to_owned(), one_writer().subject);
    let symptom = Finding {
        message: "container:job builds what the cache holds".into(),
        severity: Severity::Warning,
        caused_by: Some(cause),
        ..row("store/substituted", "container:job", Outcome::Incoherent)
    };
    let warning = Finding {
        message: "bash on PATH is /usr/local/bin/bash for user:ci and /bin/bash for service:gitlab-runner".into(),
        severity: Severity::Warning,
        participants: vec![side("user:ci", &["user:ci"], &[("tools.bash.path", "/usr/local/bin/bash")])],
        ..row("tools/same-shell", "bash: user:ci", Outcome::Incoherent)
    };
    let waiver = Waived {
        reason: "moved in March".into(),
        until: "2027-03-31".into(),
        by: "/etc/parallax/parallax.toml".into(),
        instead_of: Outcome::Incoherent,
    };
    let waived = Finding { waiver: Some(waiver), ..row("nix/same-version", "client, daemon", Outcome::Waived) };
    Run {
        notes: vec!["the Docker socket did not answer; names of containers come from cgroups".into()],
        contexts: vec![
            context("container:db", "none", &["the context could not be entered: EPERM"]),
            context("container:job", "entered", &[]),
            context("host", "native", &[]),
        ],
        ..run(vec![
            one_writer(),
            symptom,
            warning,
            unknown_row("store/gc-roots", Severity::Error),
            unknown_row("store/same-mode", Severity::Warning),
            waived,
            row("network/loopback-endpoint", "http://127.0.0.1:8080: host", Outcome::Coherent),
            row("network/proxy", "host", Outcome::NotApplicable),
        ])
    }
}

fn coherent() -> Run {
    run(vec![row("store/one-writer", "a", Outcome::Coherent), row("store/one-writer", "b", Outcome::Coherent)])
}

fn unknown() -> Run {
    let rows = ["store/a", "store/b", "store/c"].map(|check| unknown_row(check, Severity::Error)).to_vec();
    let mut run = run(rows.into_iter().chain([row("nix/trust", "host", Outcome::Coherent)]).collect());
    run.missing.push("service:nix-daemon".into());
    run
}

fn hostile() -> Run {
    let evil = |outcome| Finding {
        check: format!("store/{HOSTILE}"),
        title: HOSTILE.into(),
        gap: HOSTILE.into(),
        subject: format!("{} {HOSTILE}", outcome as u8),
        participants: vec![
            side(HOSTILE, &[HOSTILE, "b"], &[(HOSTILE, HOSTILE), ("a", "1")]),
            side("b", &["b"], &[(HOSTILE, "2"), ("a", "1")]),
        ],
        message: HOSTILE.into(),
        why: HOSTILE.into(),
        fix: HOSTILE.into(),
        unseen: vec![Unseen { context: HOSTILE.into(), fact: HOSTILE.into(), reason: HOSTILE.into() }],
        caused_by: Some((HOSTILE.into(), HOSTILE.into())),
        waiver: Some(Waived {
            reason: HOSTILE.into(),
            until: HOSTILE.into(),
            by: HOSTILE.into(),
            instead_of: Outcome::Unknown,
        }),
        ..row("", "", outcome)
    };
    let outcomes = [Outcome::Incoherent, Outcome::Unknown, Outcome::Waived, Outcome::Coherent, Outcome::NotApplicable];
    Run {
        command: HOSTILE.into(),
        host: HOSTILE.into(),
        version: HOSTILE.into(),
        contexts: vec![context(HOSTILE, HOSTILE, &[HOSTILE])],
        notes: vec![HOSTILE.into()],
        missing: vec![HOSTILE.into()],
        ..run(outcomes.map(evil).to_vec())
    }
}

fn worlds() -> [(&'static str, Run); 5] {
    [
        ("coherent", coherent()),
        ("incoherent", incoherent()),
        ("unknown", unknown()),
        ("hostile", hostile()),
        ("empty", run(Vec::new())),
    ]
}

/// A test case as a reader sees it: class, name, element, its `type`, and its text.
type Case = (String, String, String, String, String);

/// The cases of a report, by roxmltree. Panics on anything but `testsuites/testsuite/testcase/…` with the expected attributes.
fn cases(xml: &str) -> Vec<Case> {
    let tree = roxmltree::Document::parse(xml).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(tree.root_element().tag_name().name(), "testsuites");
    let suites: Vec<_> = tree.root_element().children().filter(|node| node.is_element()).collect();
    assert_eq!(suites.len(), 1);
    assert_eq!(suites[0].attribute("name"), Some("parallax"));
    let read = |case: roxmltree::Node| {
        assert_eq!(case.tag_name().name(), "testcase");
        let results: Vec<_> = case.children().filter(|node| node.is_element()).collect();
        assert!(results.len() <= 1);
        let (word, kind, text) = results.first().map_or_else(Default::default, |result| {
            assert!(result.children().all(|node| node.is_text()), "a result holds text only");
            let text: String = result.children().filter_map(|node| node.text()).collect();
            (result.tag_name().name().to_owned(), result.attribute("type").unwrap().to_owned(), text)
        });
        let of = |name| case.attribute(name).unwrap().to_owned();
        (of("classname"), of("name"), word, kind, text)
    };
    suites[0].children().filter(|node| node.is_element()).map(read).collect()
}

/// The same, by expat.
fn cases_by_expat(xml: &str) -> Vec<Case> {
    let script = "import json, sys, xml.etree.ElementTree as etree\n\
                  out = []\n\
                  for case in etree.fromstring(sys.stdin.buffer.read()).iter('testcase'):\n\
                  \x20   result = list(case)[0] if len(case) else None\n\
                  \x20   rest = ['', '', ''] if result is None else [result.tag, result.get('type'), result.text or '']\n\
                  \x20   out.append([case.get('classname'), case.get('name')] + rest)\n\
                  print(json.dumps(out))";
    let mut python = Command::new("python3");
    python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("these tests need python3");
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "expat refuses the report");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Nothing of a report may act on a terminal, and nothing may be invisible or forbidden in XML.
fn assert_printable(report: &str) {
    let bad = report.chars().find(|char| {
        (char.is_control() && *char != '\n')
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    });
    assert_eq!(bad, None, "in {report}");
}

#[test]
fn reports_look_as_reviewed() {
    for (name, run) in worlds() {
        for format in Format::ALL {
            let report = render(format, &run, &Style { width: 80, ..Style::default() });
            insta::assert_snapshot!(format!("{name}.{}", format.word()), report);
        }
    }
    let all = render(Format::Table, &incoherent(), &Style { width: 80, verbose: true, ..Style::default() });
    insta::assert_snapshot!("incoherent-verbose.table", all);
}

#[test]
fn a_hostile_world_gives_printable_reports_in_every_format() {
    for (_, run) in worlds() {
        for format in Format::ALL {
            for verbose in [false, true] {
                assert_printable(&render(format, &run, &Style { verbose, ..Style::default() }));
            }
        }
    }
    for format in Format::ALL {
        assert_printable(&failed_run(format, HOSTILE, HOSTILE));
    }
}

#[test]
fn two_strict_readers_see_exactly_the_expected_cases() {
    for (name, run) in worlds() {
        let xml = junit::render(&run, &Style::default());
        let seen = cases(&xml);
        let about_the_run = run.missing.len() + usize::from(run.comparisons() == 0);
        assert_eq!(seen.len(), run.findings.len() + about_the_run, "{name}");
        assert_eq!(seen, cases_by_expat(&xml), "{name}");
    }
}

#[test]
fn outcomes_map_to_results_as_documented() {
    let mut run = incoherent();
    let results = |run: &Run| -> Vec<(String, String, String)> {
        let seen = cases(&junit::render(run, &Style::default())).into_iter();
        seen.map(|(class, _, word, kind, _)| (class, word, kind)).collect()
    };
    let expected = [
        ("store.one-writer", "failure", "error"),
        ("store.substituted", "failure", "warning"),
        ("tools.same-shell", "failure", "warning"),
        ("store.gc-roots", "error", "unknown"),
        ("store.same-mode", "skipped", "unknown"),
        ("nix.same-version", "skipped", "waived"),
        ("network.proxy", "skipped", "not-applicable"),
        ("network.loopback-endpoint", "", ""),
    ];
    assert_eq!(results(&run), expected.map(|(class, word, kind)| (class.to_owned(), word.to_owned(), kind.to_owned())));
    run.allow_unknown = true;
    assert!(results(&run).iter().all(|(_, word, _)| word != "error"));
}

#[test]
fn a_run_that_compared_nothing_is_an_error_in_the_pipeline() {
    let seen = cases(&junit::render(&run(Vec::new()), &Style::default()));
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.as_str(), seen[0].2.as_str()), ("parallax.run", "error"));
}

#[test]
fn evidence_is_in_the_text_that_gitlab_shows() {
    let seen = cases(&junit::render(&incoherent(), &Style::default()));
    let text = &seen[0].4;
    for part in ["store.chosen.kind", "local", "daemon", "NIX_REMOTE=daemon", "parallax explain store/one-writer"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn foreign_text_arrives_whole_and_visible() {
    let seen = cases(&junit::render(&hostile(), &Style::default()));
    let failure = seen.iter().find(|case| case.2 == "failure").unwrap();
    assert!(
        failure.4.contains("x]]></failure></testcase><testcase name=\"forged\"/>␛[2J⟨U+009B⟩31m␀␊␍␉⟨U+202E⟩<script>")
    );
    assert!(seen.iter().all(|case| case.1 != "forged"));
}

#[test]
fn gitlab_never_sees_two_cases_of_one_identity() {
    let rows = [("a/b", "c"), ("a/b", "c"), ("a", "b_c"), ("a_b", "c"), ("a/b", "c\n"), ("a/b", "c␊"), ("a.b", "c")];
    let rows = rows.map(|(check, subject)| row(check, subject, Outcome::Incoherent)).to_vec();
    let count = rows.len();
    let seen = cases(&junit::render(&run(rows), &Style::default()));
    let identities: BTreeSet<_> = seen.iter().map(|case| format!("parallax_{}_{}", case.0, case.1)).collect();
    assert_eq!(identities.len(), count);
}

#[test]
fn a_name_does_not_depend_on_the_other_rows() {
    let long = row("store/x", &format!("{HOSTILE}{}", "y".repeat(5000)), Outcome::Incoherent);
    let alone = cases(&junit::render(&run(vec![long.clone()]), &Style::default()));
    let among = vec![row("store/a", "a", Outcome::Incoherent), row("store/x", "b", Outcome::Coherent), long];
    let among = cases(&junit::render(&run(among), &Style::default()));
    assert!(among.iter().any(|case| case.1 == alone[0].1));
    assert!(alone[0].1.chars().count() < 400);
}

#[test]
fn a_report_stays_small_and_never_looks_better_for_it() {
    let huge = "]]>&\u{0}\u{e000}".repeat(130_000);
    let big = |n: usize, outcome| Finding {
        message: huge.clone(),
        why: huge.clone(),
        participants: vec![side(&huge, &["a"], &[("a", &huge)]), side("b", &["b"], &[("a", "b")])],
        ..row("store/big", &format!("{n}"), outcome)
    };
    let seen = cases(&junit::render(&run(vec![big(0, Outcome::Incoherent)]), &Style::default()));
    assert!(seen[0].4.contains("more bytes of evidence are left out"));

    let many: Vec<_> = (0..60_000).map(|n| row("store/many", &format!("{n:0200}"), Outcome::Incoherent)).collect();
    let xml = junit::render(&run(many), &Style::default());
    assert!(xml.len() < 10_000_000, "{} bytes", xml.len());
    let last = cases(&xml).pop().unwrap();
    assert_eq!((last.1.as_str(), last.2.as_str()), ("rows left out", "failure"));

    let many: Vec<_> = (0..junit::MOST_COHERENT + 5).map(|n| row("a/b", &n.to_string(), Outcome::Coherent)).collect();
    let last = cases(&junit::render(&run(many), &Style::default())).pop().unwrap();
    assert!((last.2.as_str(), last.4.starts_with("5 rows left out")) == ("skipped", true), "{last:?}");
}

#[test]
fn a_failed_run_is_an_error_in_every_format() {
    let seen = cases(&failed_run(Format::Junit, "parallax.toml:3: unknown key `contxts`", "check"));
    assert_eq!((seen.len(), seen[0].2.as_str()), (1, "error"));
    assert!(seen[0].4.contains("unknown key `contxts`"));
    let json: serde_json::Value = serde_json::from_str(&failed_run(Format::Json, "boom", "check")).unwrap();
    assert_eq!((&json["summary"]["verdict"], &json["failure"]), (&"failed".into(), &"boom".into()));
    assert!(table::failed_run("boom", "check").contains("boom"));
}

#[test]
fn the_first_line_holds_the_verdict_and_every_count() {
    let wide = Style { width: 200, ..Style::default() };
    let first = |run: &Run| table::render(run, &wide).lines().next().unwrap().to_owned();
    assert_eq!(
        first(&incoherent()),
        "incoherent: 3 incoherent (1 error, 2 warnings), 2 unknown, 1 coherent, 1 waived; 4 comparisons in 3 contexts, 14 not on the chain"
    );
    let mut allowed = unknown();
    allowed.missing.clear();
    allowed.allow_unknown = true;
    assert!(
        first(&allowed).starts_with("coherent: 0 incoherent, 3 unknown allowed, 1 coherent;"),
        "{}",
        first(&allowed)
    );
}

#[test]
fn a_symptom_is_shown_once_and_beneath_its_cause() {
    let shown = table::render(&incoherent(), &Style { width: 200, ..Style::default() });
    assert_eq!(shown.matches("builds what the cache holds").count(), 1);
    let at = |part: &str| shown.find(part).unwrap();
    assert!(at("error: container:job writes") < at("so:     container:job builds"));
    assert!(at("so:     container:job builds") < at("warning: bash on PATH"));
}

#[test]
fn findings_that_blame_each_other_are_both_shown() {
    let key = |name: &str| Some((name.to_owned(), "s".to_owned()));
    let a = Finding { message: "first".into(), caused_by: key("b"), ..row("a", "s", Outcome::Incoherent) };
    let b = Finding { message: "second".into(), caused_by: key("a"), ..row("b", "s", Outcome::Incoherent) };
    let shown = table::render(&run(vec![a, b]), &Style::default());
    assert!(shown.contains("error: first") && shown.contains("error: second"), "{shown}");
}

#[test]
fn unknown_rows_of_one_reason_are_read_once() {
    let shown = table::render(&unknown(), &Style { width: 200, ..Style::default() });
    let line = "unknown: 3 checks could not be compared for container:db: /nix/var/nix/db could not be read (EACCES)";
    assert_eq!(shown.matches(line).count(), 1, "{shown}");
}

#[test]
fn colour_is_written_only_when_asked_for() {
    for (_, run) in worlds() {
        assert!(!table::render(&run, &Style::default()).contains('\u{1b}'));
        let coloured = table::render(&run, &Style { colour: true, ..Style::default() });
        let mut rest = coloured.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            rest = &rest[at + 1..];
            let end = rest.find(|char: char| !matches!(char, '[' | ';' | '0'..='9')).unwrap();
            assert_eq!(rest[end..].chars().next(), Some('m'), "only SGR");
        }
    }
}

#[test]
fn the_json_document_fits_its_schema_in_names() {
    let schema = json::schema().to_value();
    let document: serde_json::Value = serde_json::from_str(&json::render(&incoherent(), &Style::default())).unwrap();
    let named = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(named(&document), named(&schema["properties"]));
    assert_eq!(named(&document["findings"][0]), named(&schema["$defs"]["Finding"]["properties"]));
    assert_eq!(document["schema"], json::SCHEMA);
    assert_eq!(document["findings"][0]["participants"][1]["values"][2]["value"], "daemon");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_well_formed_printable_reports(
        texts in proptest::collection::vec("(\\PC|\\p{C}|]]>|<|&){0,40}", 8),
        width in 0_usize..160,
        outcome in prop::sample::select(vec![Outcome::Incoherent, Outcome::Unknown, Outcome::Waived, Outcome::Coherent]),
        verbose: bool,
    ) {
        let mut one = row(&texts[0], &texts[1], outcome);
        one.message = texts[2].clone();
        one.why = texts[3].clone();
        one.fix = texts[3].clone();
        one.participants = vec![
            side(&texts[4], &["a", "b"], &[(&texts[5], &texts[6])]),
            side(&texts[7], &["c"], &[(&texts[5], &texts[7])]),
        ];
        one.unseen = vec![Unseen { context: texts[4].clone(), fact: texts[5].clone(), reason: texts[6].clone() }];
        let mut all = run(vec![one.clone(), one]);
        all.notes = vec![texts[2].clone()];
        let style = Style { width, verbose, ..Style::default() };
        for format in Format::ALL {
            assert_printable(&render(format, &all, &style));
        }
        let nothing = usize::from(all.comparisons() == 0);
        prop_assert_eq!(cases(&junit::render(&all, &style)).len(), 2 + nothing);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json::render(&all, &style)).is_ok());
        for line in table::render(&all, &style).lines() {
            prop_assert!(textwrap::core::display_width(line) <= style.columns(), "{line:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_give_well_formed_reports(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        let one = Finding { message: lossy.clone(), ..row("a/b", &lossy, Outcome::Incoherent) };
        prop_assert_eq!(cases(&junit::render(&run(vec![one]), &Style::default())).len(), 1);
    }
}
