//! The first law, over every recorded world and every fact that a check reads: an observation that is taken away never improves the
//! verdict, makes no row coherent, loses no row in silence, and invents no incoherence.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parallax::check::{Baseline, Catalogue, Finding, Options, Outcome, Run, Verdict, evaluate};
use parallax::snapshot::Snapshot;
use serde_json::{Value, json};

fn worlds() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut worlds: Vec<PathBuf> = std::fs::read_dir(fixtures)
        .expect("fixtures/")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("host.json").exists())
        .collect();
    worlds.sort();
    worlds
}

/// The documents of a world, in the order of their names.
fn documents(world: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(world).expect("a world").flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON")).collect()
}

fn snapshot(document: &Value) -> Snapshot {
    Snapshot::from_json(document.to_string().as_bytes()).expect("a snapshot")
}

/// Takes a fact away wherever it stands. Returns whether there was anything to take.
fn hide(document: &mut Value, fact: &str) -> bool {
    let steps: Vec<&str> = fact.split('.').collect();
    let mut hidden = Vec::new();
    take(&mut document["facts"], &steps, "", &mut hidden);
    let table = document["unobserved"].as_object_mut().expect("a table");
    // What was said of its parts goes with it.
    table.retain(|path, _| {
        !hidden
            .iter()
            .any(|gone: &String| path.starts_with(&format!("{gone}[")) || path.starts_with(&format!("{gone}.")))
    });
    for path in &hidden {
        table.insert(path.clone(), json!({"reason": "timed-out", "after_ms": 1, "waiting_for": "a test"}));
    }
    !hidden.is_empty()
}

fn take(value: &mut Value, steps: &[&str], path: &str, hidden: &mut Vec<String>) {
    let (Some((step, rest)), Some(map)) = (steps.split_first(), value.as_object_mut()) else { return };
    let name = step.strip_suffix("[]").unwrap_or(step);
    let at = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if rest.is_empty() {
        if map.remove(name).is_some() {
            hidden.push(at);
        }
        return;
    }
    match map.get_mut(name) {
        Some(Value::Array(items)) if step.ends_with("[]") => {
            for (index, item) in items.iter_mut().enumerate() {
                take(item, rest, &format!("{at}[{index}]"), hidden);
            }
        }
        Some(inner) => take(inner, rest, &at, hidden),
        None => {}
    }
}

fn verdict(findings: Vec<Finding>) -> Verdict {
    run(findings).verdict()
}

fn run(findings: Vec<Finding>) -> Run {
    Run {
        command: "compare".into(),
        host: String::new(),
        job: None,
        version: String::new(),
        started_ms: 0,
        took_ms: 0,
        contexts: Vec::new(),
        off_chain: 0,
        notes: Vec::new(),
        missing: Vec::new(),
        allow_unknown: false,
        baseline: None,
        endpoints: Vec::new(),
        findings,
    }
}

fn rows(findings: &[Finding]) -> BTreeMap<(String, String), Outcome> {
    findings.iter().map(|finding| ((finding.check.clone(), finding.subject.clone()), finding.outcome)).collect()
}

/// The ids of the contexts that a finding speaks of.
fn contexts(finding: &Finding) -> BTreeSet<&str> {
    let seen = finding.participants.iter().flat_map(|side| side.contexts.iter().map(String::as_str));
    seen.chain(finding.unseen.iter().map(|unseen| unseen.context.as_str())).collect()
}

/// What of the law is broken, in words.
fn broken(before: &[Finding], after: &[Finding], hidden: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (old, new) = (rows(before), rows(after));
    for (row, outcome) in &old {
        let now = new.get(row);
        if *outcome != Outcome::Coherent && *outcome != Outcome::NotApplicable && now == Some(&Outcome::Coherent) {
            wrong.push(format!("{row:?} was {} and is coherent without {hidden}", outcome.word()));
        }
    }
    // A row whose key could not be formed stands as an unknown one of the same check for the same context.
    for finding in before.iter().filter(|finding| finding.outcome == Outcome::Incoherent) {
        let kept = after.iter().any(|other| {
            other.check == finding.check
                && matches!(other.outcome, Outcome::Incoherent | Outcome::Unknown)
                && !contexts(other).is_disjoint(&contexts(finding))
        });
        if !kept {
            wrong.push(format!("{} [{}] disappeared without {hidden}", finding.check, finding.subject));
        }
    }
    let had: BTreeSet<&str> =
        before.iter().filter(|f| f.outcome == Outcome::Incoherent).map(|f| f.check.as_str()).collect();
    for finding in after.iter().filter(|f| f.outcome == Outcome::Incoherent && !had.contains(f.check.as_str())) {
        wrong.push(format!("{} [{}] is incoherent only without {hidden}", finding.check, finding.subject));
    }
    let now = verdict(after.to_vec());
    if !may_become(verdict(before.to_vec())).contains(&now) {
        wrong.push(format!("the verdict became {now:?} without {hidden}"));
    }
    wrong.extend(broken_by_a_baseline(before, after, hidden));
    wrong
}

/// What a verdict may be after an observation was taken away.
fn may_become(verdict: Verdict) -> &'static [Verdict] {
    match verdict {
        Verdict::Incoherent => &[Verdict::Incoherent, Verdict::Undetermined],
        Verdict::Undetermined => &[Verdict::Undetermined],
        Verdict::Warnings => &[Verdict::Warnings, Verdict::Undetermined],
        Verdict::Coherent => &[Verdict::Coherent, Verdict::Warnings, Verdict::Undetermined],
    }
}

/// The same law under a baseline: of all findings, of none, and of every second one. What it recorded as incoherent and what can't be seen any
/// more counts, and is not gone.
fn broken_by_a_baseline(before: &[Finding], after: &[Finding], hidden: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let whole = Baseline::of(&run(before.to_vec()));
    let every = |step: usize, first: usize| {
        let findings = whole.findings.iter().skip(first).step_by(step).cloned().collect();
        Baseline { findings, ..whole.clone() }
    };
    for baseline in [whole.clone(), every(2, 0), every(2, 1), Baseline { findings: Vec::new(), ..whole.clone() }] {
        let held = |findings: &[Finding]| {
            let mut run = run(findings.to_vec());
            baseline.hold("baseline", &mut run);
            run
        };
        let (old, new) = (held(before), held(after));
        if !may_become(old.verdict()).contains(&new.verdict()) {
            wrong.push(format!("{:?} became {:?} under a baseline without {hidden}", old.verdict(), new.verdict()));
        }
        if new.verdict() == Verdict::Coherent && verdict(after.to_vec()) == Verdict::Undetermined {
            let unknown = |findings: &[Finding]| findings.iter().filter(|f| f.outcome == Outcome::Unknown).count();
            if unknown(after) > unknown(before) {
                wrong.push(format!("a baseline lets pass what could not be seen without {hidden}"));
            }
        }
        for past in new.baseline.iter().flat_map(|against| &against.past).filter(|past| past.fate.is_gone()) {
            wrong.push(format!("{} [{}] is {} without {hidden}", past.check, past.subject, past.fate.words()));
        }
    }
    wrong
}

/// Cuts a list after its first element, as a cap or a file that could not be read does. Returns whether there was one.
fn cut(document: &mut Value, list: &str) -> bool {
    let Some(Value::Array(items)) = document["facts"].pointer_mut(&format!("/{}", list.replace('.', "/"))) else {
        return false;
    };
    items.truncate(1);
    let table = document["unobserved"].as_object_mut().expect("a table");
    table.retain(|path, _| !path.starts_with(&format!("{list}[")) || path.starts_with(&format!("{list}[0]")));
    table.insert(format!("{list}[*]"), json!({"reason": "truncated", "at": 1, "what": "a test"}));
    true
}

/// Takes each of `names` away by `lose`, from one context of every world, another one each time; with `PARALLAX_LAWS=all` from every context.
fn hold(names: &BTreeSet<String>, lose: fn(&mut Value, &str) -> bool, at_least: usize) {
    let catalogue = Catalogue::builtin().expect("the catalogue");
    let (mut wrong, mut tried) = (Vec::new(), 0);
    let worlds: Vec<_> = worlds().into_iter().enumerate().collect();
    let share = worlds.len().div_ceil(std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        let of_share = |worlds: &[(usize, PathBuf)]| {
            let of_world = |(turn, world): &(usize, PathBuf)| hold_in(&catalogue, world, *turn, names, lose);
            worlds.iter().map(of_world).collect::<Vec<_>>()
        };
        let shares: Vec<_> = worlds.chunks(share).map(|worlds| scope.spawn(move || of_share(worlds))).collect();
        for (broken, count) in shares.into_iter().flat_map(|share| share.join().expect("no panic")) {
            wrong.extend(broken);
            tried += count;
        }
    });
    assert!(tried >= at_least, "{tried} observations were taken away");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same in one world: what is broken, and how often something was taken away.
fn hold_in(
    catalogue: &Catalogue,
    world: &Path,
    turn: usize,
    names: &BTreeSet<String>,
    lose: fn(&mut Value, &str) -> bool,
) -> (Vec<String>, usize) {
    let everywhere = std::env::var_os("PARALLAX_LAWS").is_some_and(|value| value == "all");
    let look = |snapshots: &[Snapshot]| evaluate(catalogue, snapshots, &Options::default()).expect("no waivers");
    let (mut wrong, mut tried) = (Vec::new(), 0);
    let documents = documents(world);
    let snapshots: Vec<Snapshot> = documents.iter().map(snapshot).collect();
    let before = look(&snapshots);
    for (number, name) in names.iter().enumerate() {
        for (index, document) in documents.iter().enumerate() {
            let mut document = document.clone();
            if !everywhere && (turn + number) % documents.len() != index || !lose(&mut document, name) {
                continue;
            }
            // A plain text of an element can't be unobserved; the element as a whole can.
            let Ok(altered) = Snapshot::from_json(document.to_string().as_bytes()) else { continue };
            let mut snapshots = snapshots.clone();
            snapshots[index] = altered;
            let place = world.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let lost = format!("{name} of {} in {place}", snapshots[index].context.id);
            wrong.extend(broken(&before, &look(&snapshots), &lost));
            tried += 1;
        }
    }
    (wrong, tried)
}

fn facts() -> BTreeSet<String> {
    let catalogue = Catalogue::builtin().expect("the catalogue");
    catalogue.checks().flat_map(|check| check.facts_read()).collect()
}

#[test]
fn an_observation_that_is_taken_away_never_improves_anything() {
    let facts = facts().into_iter().filter(|fact| !fact.ends_with("[]")).collect();
    hold(&facts, hide, 500);
}

#[test]
fn a_list_that_is_cut_never_improves_anything() {
    let lists = facts().iter().filter_map(|fact| Some(fact.split_once("[]")?.0.to_owned())).collect();
    hold(&lists, cut, 50);
}
