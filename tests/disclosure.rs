//! What a caller is told, over every recorded world and every context of it as the caller: the outcomes of everybody, and the values of nobody
//! else that are not public.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parallax::check::disclosure::{Disclosure, Level, mark};
use parallax::check::{Catalogue, Finding, Options, evaluate, judge};
use parallax::snapshot::schema::Disclosure as Mark;
use parallax::snapshot::{ContextKind, Snapshot};
use serde_json::Value;

fn worlds() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let entries = std::fs::read_dir(fixtures).expect("fixtures/").flatten().map(|entry| entry.path());
    let mut worlds: Vec<PathBuf> = entries.filter(|path| path.join("host.json").exists()).collect();
    worlds.sort();
    worlds
}

fn snapshots(world: &Path) -> Vec<Snapshot> {
    let entries = std::fs::read_dir(world).expect("a world").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|file| file.extension().is_some_and(|is| is == "json")).collect();
    files.sort();
    files.iter().map(|file| Snapshot::from_json(&std::fs::read(file).expect("a file")).expect("a snapshot")).collect()
}

/// The texts of a context's facts, with their paths; reasons too, under the path of what they stand for.
fn texts(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let below = match (name.starts_with('$'), path.is_empty()) {
                    (true, _) => path.to_owned(),
                    (false, true) => name.clone(),
                    (false, false) => format!("{path}.{name}"),
                };
                // The reason of a public fact is no public fact.
                let below = if name == "$unobserved" { format!("{below}.reason") } else { below };
                texts(value, &below, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, &format!("{path}[]"), found)),
        // Which kind of reason it is, is a word of ours.
        Value::String(_) if path.ends_with(".reason.reason") => {}
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        _ => {}
    }
}

fn of(snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut found = Vec::new();
    texts(&snapshot.facts_tree(), "", &mut found);
    found
}

/// What is the same whoever is told: how many rows of which check came to what.
fn outcomes(findings: &[Finding]) -> Vec<(String, String, u64)> {
    let mut outcomes: Vec<_> = findings
        .iter()
        .map(|finding| (finding.check.clone(), finding.outcome.word().to_owned(), finding.comparisons))
        .collect();
    outcomes.sort();
    outcomes
}

fn told(catalogue: &Catalogue, snapshots: &[Snapshot], own: &str, level: Level) -> Vec<Finding> {
    let disclosure = Disclosure::new(own.to_owned(), level, vec![7; 32]);
    judge(catalogue, snapshots, Some(&disclosure)).finish(&Options::default()).expect("no waiver")
}

#[test]
fn whoever_asks_is_told_the_same_outcomes() {
    let catalogue = Catalogue::builtin().expect("the catalogue");
    for world in worlds() {
        let snapshots = snapshots(&world);
        let truth = outcomes(&evaluate(&catalogue, &snapshots, &Options::default()).expect("no waiver"));
        for own in &snapshots {
            for level in [Level::Verdict, Level::Public, Level::All] {
                let told = told(&catalogue, &snapshots, &own.context.id, level);
                // Fingerprints are not recorded, so nobody's secrets keep a caller apart from whom it is one participant with.
                assert_eq!(outcomes(&told), truth, "{} to {}", world.display(), own.context.id);
                let subjects: BTreeSet<_> = told.iter().map(|finding| (&finding.check, &finding.subject)).collect();
                assert_eq!(subjects.len(), told.len(), "{} to {}", world.display(), own.context.id);
            }
        }
    }
}

#[test]
fn no_value_or_reason_of_another_context_that_is_not_public_is_told() {
    let catalogue = Catalogue::builtin().expect("the catalogue");
    let prose: String = catalogue.checks().map(|check| check.source.as_str()).collect();
    let (mut withheld, mut told_once) = (0, BTreeSet::new());
    for world in worlds() {
        let snapshots = snapshots(&world);
        for own in snapshots.iter().filter(|one| one.context.kind != ContextKind::Host) {
            // Who asks knows what it is called.
            let own_name = std::iter::once(own.context.id.clone());
            let known: Vec<String> = of(own).into_iter().map(|(_, text)| text).chain(own_name).collect();
            let others = || snapshots.iter().filter(|one| one.context.id != own.context.id);
            // A caller knows its own name, which others may have noted too.
            let all_names = snapshots.iter().map(|one| format!("{} {} ", one.context.id, one.context.boot));
            let names: String = all_names.collect();
            let all: Vec<(String, String)> = others().flat_map(of).collect();
            let is_public = |path: &str| !path.ends_with("reason") && mark(path) == Mark::Public;
            let public: Vec<&String> = all.iter().filter(|(path, _)| is_public(path)).map(|(_, text)| text).collect();
            // Short words and those that stand elsewhere prove nothing.
            let is_telling = |text: &str| {
                // What a row is called after is made of what it is about.
                let about = text.strip_prefix("substituters ").unwrap_or(text);
                text.len() > 4
                    && !known.iter().any(|known| known.contains(about))
                    && !public.iter().any(|public| public.contains(text))
                    && ![&prose, &names].iter().any(|words| words.contains(text))
            };
            let private: BTreeSet<&str> = all
                .iter()
                .filter(|(path, text)| !is_public(path) && is_telling(text))
                .map(|(_, text)| text.as_str())
                .collect();
            for level in [Level::Verdict, Level::Public] {
                let findings = told(&catalogue, &snapshots, &own.context.id, level);
                let text = serde_json::to_value(&findings).expect("JSON");
                let mut shown = Vec::new();
                texts(&text, "", &mut shown);
                for (_, shown) in &shown {
                    let leak = private.iter().find(|private| shown.contains(**private));
                    assert_eq!(leak, None, "{} to {}: {shown}", world.display(), own.context.id);
                }
                withheld += private.len();
            }
            let open = told(&catalogue, &snapshots, &own.context.id, Level::All);
            let open = serde_json::to_string(&open).expect("JSON");
            told_once.extend(private.iter().filter(|private| open.contains(**private)).map(|text| (*text).to_owned()));
        }
    }
    // The same values are shown where all is told: so it is the marks that keep them back.
    assert!(withheld > 1000 && told_once.len() > 20, "{withheld} {}", told_once.len());
}

/// A check as a host's administrator may write it, of a pair that does not hold.
fn catalogue_of(check: &str) -> Catalogue {
    let rest = "title = \"t\"\ngap = \"trust-boundary\"\nseverity = \"warning\"\nwhy = \"w\"\nfix = \"f\"\n";
    let file = ("site/check".to_owned(), "site/check.toml".to_owned(), format!("{rest}{check}"));
    Catalogue::default().with_files(vec![file]).expect("a check")
}

fn to_the_job(check: &str) -> Vec<Finding> {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/loopback-cache-broken");
    let snapshots = snapshots(&world);
    let job = snapshots.iter().find(|one| one.context.role.as_deref() == Some("job")).expect("a job");
    told(&catalogue_of(check), &snapshots, &job.context.id, Level::Public)
}

#[test]
fn no_expression_of_a_check_leads_around_the_marks() {
    let findings = to_the_job(
        "relation = \"between\"\nfrom = \"a.role == 'job'\"\nto = \"b.kind == 'host'\"\nlink = \"c.boot\"\n\
         over.b = \"b.nix.substituters.map(s, s + '!')\"\nsubject = \"eb\"\nclaim = \"false\"\n\
         message = \"{b.store.db.path}|{b.nix.substituters}|{size(b.nix.substituters)}|{b.store.db.path == '/x' ? 'yes' : 'no'}|\
         {b.network.endpoints.map(x, x.url)}|{eb}|{b.user}|{b.image}|{b.store.db.path + a.name}|{b.identity.namespaces.net == null}|{b.store.db.mode}|{a.name}|{b.name}\"\n",
    );
    let finding = findings.first().expect("a finding");
    let parts: Vec<&str> = finding.message.split('|').collect();
    assert!(parts[..9].iter().all(|part| *part == "(withheld)"), "{}", finding.message);
    assert_eq!((parts[9], parts[11], parts[12]), ("no", finding.participants[0].name.as_str(), "host"));
    assert!(parts[10].starts_with('0') || parts[10] == "absent", "the mode is public: {}", finding.message);
    assert!(finding.subject.starts_with('#') && !finding.subject.contains('!'), "{}", finding.subject);
}

#[test]
fn a_check_that_links_by_a_secret_is_not_answered_at_all() {
    let findings = to_the_job(
        "relation = \"agree\"\nover = \"c.credentials.s3\"\nlink = \"e.fingerprint\"\nsubject = \"e.name\"\n\
         value = \"e.access_key_id\"\nmessage = \"m\"\n",
    );
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.outcome.word(), "unknown");
    assert!(finding.message.contains("links contexts by a secret"), "{}", finding.message);
}
