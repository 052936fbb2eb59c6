//! Reports: golden renderings of each format, and JUnit read back by two strict readers that share no code with its writer.
//!
//! The runs are built here; nothing is probed. The second reader is expat, by way of python3's `xml.etree`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use parallax::check::finding::Waived;
use parallax::check::{
    Baseline, ContextNote, EndpointAnswer, EndpointNote, Finding, Outcome, Participant, Run, Severity, Unseen,
};
use parallax::report::{Format, Style, codequality, failed_run, json, junit, log, markdown, render, table};
use parallax::snapshot::PipelineJob;
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
        held: None,
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
        baseline: None,
        endpoints: Vec::new(),
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

/// An endpoint and what is said of it, each answer by its contexts.
fn endpoint(name: &str, answers: &[(&[&str], &str)]) -> EndpointNote {
    let answer = |(contexts, seen): &(&[&str], &str)| EndpointAnswer {
        contexts: contexts.iter().map(|id| (*id).into()).collect(),
        seen: (*seen).into(),
    };
    EndpointNote { endpoint: name.into(), answers: answers.iter().map(answer).collect() }
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
        endpoints: vec![
            endpoint("same.example:443", &[(&["container:job", "host"], "connected 192.0.2.7, nix-cache 200")]),
            endpoint(
                "split.example:80",
                &[(&["container:job"], "refused over IPv4"), (&["host"], "connected 192.0.2.8, http 200")],
            ),
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
        endpoints: vec![endpoint(HOSTILE, &[(&[HOSTILE], HOSTILE), (&["b"], "2")])],
        ..run(outcomes.map(evil).to_vec())
    }
}

/// A run with a baseline: one finding is held, three others are not there.
fn held() -> Run {
    let mut run = incoherent();
    let recorded = |check: &str, subject: &str| {
        format!("{{\"check\":{check:?},\"subject\":{subject:?},\"outcome\":\"incoherent\",\"severity\":\"error\"}}")
    };
    let entries = [
        recorded("store/one-writer", "8:1:77: container:job, service:nix-daemon"),
        recorded("network/loopback-endpoint", "http://127.0.0.1:8080: host"),
        recorded("network/proxy", "user:ci"),
        recorded("store/gc-roots", "container:web"),
    ];
    let json = format!("{{\"schema\":\"parallax.baseline/1\",\"findings\":[{}]}}", entries.join(","));
    run.contexts.retain(|context| context.entry != "none");
    let of = |text: &str| Some(text.to_owned());
    run.job = Some(PipelineJob {
        id: of("77"),
        runner: of("aB3"),
        project: of("5"),
        pipeline: of("9"),
        commit: of("9ba12248"),
    });
    Baseline::read(json.as_bytes()).unwrap().hold("parallax-baseline.json", &mut run);
    run
}

fn worlds() -> [(&'static str, Run); 6] {
    [
        ("held", held()),
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
    let mut children = suites[0].children().filter(|node| node.is_element());
    let properties = children.next().unwrap();
    assert_eq!(properties.tag_name().name(), "properties");
    assert!(properties.children().filter(|node| node.is_element()).all(|node| node.has_tag_name("property")));
    children.map(read).collect()
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

/// How many cases GitLab holds, whose rules `gitlab/junit.py` tells anew; it ends in an error where GitLab would see something else than is written.
fn cases_by_gitlab(xml: &str) -> usize {
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gitlab/junit.py"));
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("these tests need python3");
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "GitLab would refuse the report");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    seen["cases"].as_array().unwrap().len()
}

/// Nothing of a report may act on a terminal, and nothing may be invisible or forbidden in XML.
fn assert_printable(report: &str) {
    let report = without_sections(report);
    let bad = report.chars().find(|char| {
        (char.is_control() && *char != '\n')
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    });
    assert_eq!(bad, None, "in {report}");
}

/// A report without the marks that open and end sections of a job log: those that GitLab takes for one, where we write them.
fn without_sections(report: &str) -> String {
    let mark = |line: &str| {
        let (kind, rest) = line.strip_prefix("\u{1b}[0Ksection_")?.split_once(':')?;
        let (seconds, rest) = rest.split_once(':')?;
        let (name, header) = rest.split_once("\r\u{1b}[0K")?;
        let (name, options) = name.split_once('[').unwrap_or((name, ""));
        let is_mark = matches!(kind, "start" | "end")
            && seconds.parse::<u64>().is_ok()
            && name.chars().all(|char| char.is_ascii_alphanumeric() || "_.-".contains(char))
            && matches!(options, "" | "hide_duration=true]" | "hide_duration=true,collapsed=true]");
        is_mark.then(|| header.to_owned())
    };
    report.split('\n').map(|line| mark(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
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
        let about_the_run =
            run.missing.len() + usize::from(run.comparisons() == 0) + usize::from(run.baseline.is_some());
        let about_the_run = about_the_run + usize::from(run.endpoints.iter().any(|note| note.answers.len() > 1));
        assert_eq!(seen.len(), run.findings.len() + about_the_run, "{name}");
        assert_eq!(seen, cases_by_expat(&xml), "{name}");
        assert_eq!(seen.len(), cases_by_gitlab(&xml), "{name}");
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
        ("parallax.run", "skipped", "endpoints"),
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
}

#[test]
fn a_thousand_contexts_give_a_report_that_gitlab_takes() {
    let reason = |n: usize| Unseen {
        context: format!("container:{n}"),
        fact: "a.b".into(),
        reason: "timed out after 120 ms".into(),
    };
    let mut rows = Vec::new();
    for check in 0..60 {
        for n in 0..1000 {
            let (id, subject) = (format!("store/check-{check}"), format!("container:{n:04}"));
            let unseen = vec![reason(n)];
            rows.push(match check % 4 {
                0 => Finding { unseen, ..row(&id, &subject, Outcome::Unknown) },
                1 => row(&id, &subject, Outcome::NotApplicable),
                _ => row(&id, &subject, Outcome::Coherent),
            });
        }
    }
    rows.push(row("store/one", "alone", Outcome::Coherent));
    let xml = junit::render(&run(rows), &Style::default());
    let tree = roxmltree::Document::parse(&xml).unwrap();
    let objects: usize = tree.descendants().map(|node| 1 + node.attributes().count()).sum();
    assert!(objects < 2_000 && xml.len() < 1_000_000, "{objects} objects, {} bytes", xml.len());
    assert!(xml.contains("name=\"rows.folded\" value=\"60000\""), "it says so");
    let seen = cases(&xml);
    assert_eq!(seen.iter().filter(|case| case.2 == "error").count(), 15);
    let unknown = seen.iter().find(|case| case.2 == "error").unwrap();
    assert_eq!(unknown.1, "rows folded, not compared: a.b: timed out after # ms");
    assert!(
        unknown.4.contains("1000 rows could not be compared") && unknown.4.contains("and 950 more"),
        "{}",
        unknown.4
    );
    assert!(seen.iter().any(|case| case.1 == "alone"));
}

#[test]
fn a_report_of_nothing_but_failures_stays_below_what_gitlab_takes() {
    let many: Vec<_> = (0..50_000).map(|n| row("a/b", &n.to_string(), Outcome::Incoherent)).collect();
    let xml = junit::render(&run(many.clone()), &Style::default());
    let tree = roxmltree::Document::parse(&xml).unwrap();
    let objects: usize = tree.descendants().map(|node| 1 + node.attributes().count()).sum();
    assert!(objects < 200_000, "{objects} objects");
    let style = Style::default();
    let comment = markdown::render(&run(many.clone()), &style);
    assert!(comment.len() < 200_000 && comment.contains("incoherent findings left out here"), "{}", comment.len());
    let log = log::render(&run(many.clone()), &style);
    assert!(log.len() < 2_000_000 && log.contains("left out"), "{}", log.len());
    let entries: Vec<serde_json::Value> = serde_json::from_str(&codequality::render(&run(many), &style)).unwrap();
    assert_eq!((entries.len(), &entries[codequality::MOST]["severity"]), (codequality::MOST + 1, &"critical".into()));
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

/// The text of a comment outside of code, and how many links, images and pieces of HTML it holds, by the parser that GitLab uses.
fn outside_of_code(comment: &str) -> (Vec<String>, Vec<String>) {
    use comrak::nodes::NodeValue;
    let arena = comrak::Arena::new();
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.footnotes = true;
    options.extension.tasklist = true;
    let root = comrak::parse_document(&arena, comment, &options);
    let (mut texts, mut odd) = (Vec::new(), Vec::new());
    for node in root.descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(text) => texts.push(text.to_string()),
            NodeValue::HtmlBlock(html) => {
                for line in html.literal.lines() {
                    let ours = matches!(line, "<details>" | "</details>")
                        || line
                            .strip_prefix("<summary>")
                            .and_then(|rest| rest.strip_suffix("</summary>"))
                            .is_some_and(|rest| rest.chars().all(|char| char.is_ascii_alphanumeric() || char == ' '));
                    if !ours {
                        odd.push(line.to_owned());
                    }
                }
            }
            NodeValue::Document
            | NodeValue::Paragraph
            | NodeValue::Strong
            | NodeValue::Code(_)
            | NodeValue::List(_)
            | NodeValue::Item(_)
            | NodeValue::Table(_)
            | NodeValue::TableRow(_)
            | NodeValue::TableCell
            | NodeValue::SoftBreak => {}
            other => odd.push(format!("{other:?}")),
        }
    }
    (texts, odd)
}

const MARKUP: &str = "@all #1 !2 $3 %4 ~bug &5 PROJ-12 deadbeef [a](https://b) ![i](j) <b>x</b> <!-- :smile: | \\| `` ` ``` | a\\ \
                      **x** __y__ ~~z~~ {+a+} [^1] https://evil.example www.evil.example a@b.c \n/close\n- [ ] t\n# h\n| a | b |\n|---|---|\n</details>";

#[test]
fn foreign_text_makes_no_markup_mention_reference_or_cell_of_a_comment() {
    let evil = |outcome| Finding {
        participants: vec![
            side(MARKUP, &["a"], &[(MARKUP, MARKUP), ("b", "\\|")]),
            side("b|c", &["b"], &[(MARKUP, "|"), ("b", "`|`")]),
        ],
        message: MARKUP.into(),
        why: MARKUP.into(),
        fix: MARKUP.into(),
        unseen: vec![Unseen { context: MARKUP.into(), fact: MARKUP.into(), reason: MARKUP.into() }],
        caused_by: Some((MARKUP.into(), MARKUP.into())),
        ..row(&format!("a/{MARKUP}"), &format!("{} {MARKUP}", outcome as u8), outcome)
    };
    let outcomes = [Outcome::Incoherent, Outcome::Unknown, Outcome::Held, Outcome::Waived];
    let mut run = Run {
        notes: vec![MARKUP.into()],
        missing: vec![MARKUP.into()],
        contexts: vec![context(MARKUP, MARKUP, &[MARKUP])],
        command: MARKUP.into(),
        ..run(outcomes.map(evil).to_vec())
    };
    run.job = Some(PipelineJob { id: Some(MARKUP.into()), runner: None, project: None, pipeline: None, commit: None });
    for comment in [markdown::render(&run, &Style::default()), failed_run(Format::Markdown, MARKUP, MARKUP)] {
        let (texts, odd) = outside_of_code(&comment);
        assert!(odd.is_empty(), "{odd:#?} in\n{comment}");
        for text in texts {
            let bad = text
                .contains(['@', '#', '!', '$', '%', '~', '&', '[', ']', '<', '>', '|', '`', '*', '_', '{', '\\', '/']);
            assert!(!bad && !text.contains("PROJ") && !text.contains("deadbeef"), "{text:?} in\n{comment}");
        }
        assert!(comment.lines().all(|line| !line.starts_with('/')), "{comment}");
        // A matrix keeps its three columns.
        let rows: Vec<_> = comment.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(rows.iter().all(|line| line.replace("\\|", "").matches('|').count() == 4), "{rows:#?}");
    }
}

#[test]
fn every_section_of_a_job_log_is_ours_and_is_closed() {
    for (name, run) in worlds() {
        let log = render(Format::Log, &run, &Style { colour: true, ..Style::default() });
        let marks: Vec<_> =
            log.split("\u{1b}[0Ksection_").skip(1).map(|rest| rest.split('\r').next().unwrap()).collect();
        let mut open: Option<&str> = None;
        let mut names = BTreeSet::new();
        for mark in marks {
            let name = mark.rsplit(':').next().unwrap().split('[').next().unwrap();
            if mark.starts_with("start:") {
                assert!(open.replace(name).is_none() && names.insert(name), "{mark}");
            } else {
                assert_eq!(open.take(), Some(name), "{mark}");
            }
        }
        assert_eq!(open, None);
        assert_eq!(log.matches('\r').count(), names.len() * 2, "{name}: foreign text holds no carriage return");
    }
    let hostile = render(Format::Log, &hostile(), &Style::default());
    assert!(!without_sections(&hostile).contains('\u{1b}'), "{hostile}");
}

#[test]
fn a_held_finding_is_said_to_be_held_in_every_format() {
    let run = held();
    let first = table::render(&run, &Style { width: 200, ..Style::default() });
    assert!(first.starts_with("undetermined: 2 incoherent (0 errors, 2 warnings), 2 unknown, 1 coherent, 1 held by the baseline (2 gone), 1 waived;"), "{first}");
    for format in [Format::Table, Format::Markdown, Format::Log, Format::Junit, Format::Json] {
        let report = render(format, &run, &Style::default());
        for words in ["held", "coherent now", "no longer seen", "could not be determined"] {
            assert!(report.contains(words), "{words} is missing in {}", format.word());
        }
    }
    let skipped: Vec<_> =
        cases(&junit::render(&run, &Style::default())).into_iter().filter(|case| case.3 == "held").collect();
    assert!(skipped.iter().all(|case| case.2 == "skipped"));
    assert!(
        skipped.iter().any(|case| case.4.starts_with("held by the baseline, incoherent (error): container:job writes"))
    );
    let entries = codequality::render(&run, &Style::default());
    assert!(!entries.contains("store/one-writer\""), "{entries}");
}

#[test]
fn a_run_that_is_read_back_from_json_renders_in_every_format_as_the_original() {
    for (name, mut run) in worlds() {
        let of = |text: &str| Some(text.to_owned());
        run.job =
            Some(PipelineJob { id: of("77"), runner: of(HOSTILE), project: None, pipeline: of(""), commit: None });
        let back = json::read(json::render(&run, &Style::default()).as_bytes()).unwrap();
        assert_eq!(back, run, "{name}");
        for format in Format::ALL {
            for verbose in [false, true] {
                let style = Style { verbose, colour: verbose, ..Style::default() };
                assert_eq!(render(format, &back, &style), render(format, &run, &style), "{name} as {}", format.word());
            }
        }
    }
}

#[test]
fn a_document_that_is_no_run_is_refused_with_the_reason() {
    let refused = |json: &str| json::read(json.as_bytes()).unwrap_err().to_string();
    let good = json::render(&incoherent(), &Style::default());
    assert!(refused("{").contains("line 1 column 1"), "{}", refused("{"));
    assert!(refused("{\"schema\":\"parallax.findings/2\"}").contains("this is a parallax.findings/2 document"));
    assert!(refused("{\"schema\":\"parallax.findings/1\"}").contains("missing field"));
    assert!(refused(&failed_run(Format::Json, "boom", "check")).contains("the run failed: boom"));
    let odd = good.replacen("\"incoherent\"", "\"fine\"", 2);
    assert!(refused(&odd).contains("findings[0]: outcome is fine"), "{}", refused(&odd));
    let better = good.replacen("\"verdict\": \"incoherent\"", "\"verdict\": \"coherent\"", 1);
    assert!(refused(&better).contains("the verdict is coherent, and its rows come to incoherent"));
    let hostile = refused("{\"schema\":\"\\u001b[2J\"}");
    assert_printable(&hostile);
}

#[test]
fn a_document_with_a_field_of_a_later_version_is_read() {
    let later = json::render(&coherent(), &Style::default()).replacen('{', "{\"later\": [1],", 1);
    assert_eq!(json::read(later.as_bytes()).unwrap(), coherent());
}

#[test]
fn numbers_of_a_hostile_document_stop_nothing() {
    let mut run = coherent();
    run.findings.iter_mut().for_each(|finding| finding.comparisons = u64::MAX);
    run.started_ms = i64::MIN;
    run.off_chain = usize::MAX;
    let back = json::read(json::render(&run, &Style::default()).as_bytes()).unwrap();
    for format in Format::ALL {
        assert_printable(&render(format, &back, &Style::default()));
    }
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
        let (_, odd) = outside_of_code(&markdown::render(&all, &style));
        prop_assert!(odd.is_empty(), "{:?}", odd);
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
