//! The catalogue and the engine, held to what they promise: the examples of every check file, the refusal of misspellings, and the
//! law that taking an observation away never improves anything.

mod contexts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use contexts::context;
use parallax::check::examples;
use parallax::check::{
    Catalogue, CatalogueError, Check, Finding, Options, Outcome, Refusal, Run, Verdict, Waiver, evaluate,
};
use parallax::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

fn builtin() -> Catalogue {
    Catalogue::builtin().unwrap_or_else(|error| panic!("{error}"))
}

fn run(catalogue: &Catalogue, snapshots: &[Snapshot]) -> Vec<Finding> {
    evaluate(catalogue, snapshots, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A catalogue of one check file.
fn one(source: &str) -> Result<Catalogue, CatalogueError> {
    Catalogue::default().with_files(vec![("t/t".into(), "checks/t/t.toml".into(), source.into())])
}

fn refusals(source: &str) -> Vec<Refusal> {
    match one(source) {
        Err(CatalogueError::Refused { refusals }) => refusals,
        other => panic!("not refused: {:?}", other.map(|_| source.to_owned())),
    }
}

const HEAD: &str = "title = 't'\ngap = 'trust-boundary'\nseverity = 'error'\nwhy = 'w'\nfix = 'f'\n";

fn each(body: &str) -> String {
    format!("{HEAD}relation = 'each'\n{body}\n")
}

#[test]
fn every_example_of_every_check_gives_the_outcome_that_it_says() {
    let trials = examples::run(&builtin(), root());
    assert!(!trials.is_empty());
    let failed: Vec<String> = trials
        .iter()
        .filter_map(|trial| trial.failure.as_ref().map(|why| format!("{} #{}: {why}", trial.check, trial.number)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_misspelling_is_refused_with_its_place_and_what_was_meant() {
    let body = |claim: &str| each(&format!("claim = \"{claim}\"\nmessage = 'm'"));
    let over = |claim: &str| {
        each(&format!("over = 'c.network.endpoints'\nsubject = 'e.url'\nclaim = \"{claim}\"\nmessage = 'm'"))
    };
    let message = |message: &str| each(&format!("claim = 'true'\nmessage = \"{message}\""));
    let files = [
        body("c.stor.db.writable"),
        body("c.store.db.writeable"),
        body("c.store.db.mount.read_onyl == true"),
        body("c.network.endpoints.exists(x, x.listning)"),
        body("c.network.endpoints.all(x, y.listening)"),
        body("c.network.endpoints.exsts(x, x.listening)"),
        body("c.network.endpoints.exists(x, x.url.startWith('http'))"),
        body("c.kind == 'contaner'"),
        body("c.kind in ['host', 'usr']"),
        body("d.kind == 'host'"),
        body("size(c.tools.missing) == 'none'"),
        body("c.store.db.mode"),
        body("sise(c.tools.missing) == 0"),
        body("has(c.store.db.mode)"),
        body("c.identity.uid > '0'"),
        body("c.store.db.writable &&"),
        body("c.identity.uid * 2 == 4"),
        over("e.lisening"),
        over("ea.listening"),
        message("{c.nmae} is wrong"),
        message("{c.name is wrong"),
        each("clam = 'true'\nmessage = 'm'"),
        each("claim = 'true'\nmessage = 'm'\nlink = 'c.boot'"),
        each("over = 'c.network.endpoints'\nclaim = 'true'\nmessage = 'm'"),
        each("claim = 'true'\nmessage = 'm'\ncaused-by = ['t/u']"),
        format!("{HEAD}relation = 'eech'\nclaim = 'true'\nmessage = 'm'\n"),
        format!("{HEAD}relation = 'agree'\nlink = 'c.boot'\nvalue = 'c.store.db'\nmessage = 'm'\n"),
        format!("{HEAD}relation = 'between'\nlink.a = 'a.boot'\nlink.c = 'b.boot'\nclaim = 'true'\nmessage = 'm'\n"),
    ];
    let mut shown = String::new();
    for file in &files {
        let found = refusals(file);
        assert!(!found.is_empty());
        for refusal in found {
            let written = file.lines().nth(refusal.line - 1).unwrap_or_default();
            let help = refusal.help.as_deref().unwrap_or("-");
            let under = " ".repeat(refusal.column - 1);
            shown.push_str(&format!("{written}\n{under}^ {refusal}\n  {help}\n\n"));
        }
    }
    insta::assert_snapshot!("misspellings", shown);
}

#[test]
fn present_and_empty_absent_and_unobserved_give_three_outcomes_and_three_texts() {
    let catalogue = one(&each("claim = 'size(c.nix.substituters) > 0'\nmessage = 'm {c.nix.substituters}'")).unwrap();
    let of = |facts: Value| run(&catalogue, &[context("host", facts)]).remove(0);
    let empty = of(json!({ "nix": { "substituters": [] } }));
    let absent = of(json!({ "nix": { "substituters": null } }));
    let unobserved = of(json!({}));
    assert_eq!(empty.outcome, Outcome::Incoherent);
    assert_eq!((absent.outcome, unobserved.outcome), (Outcome::Unknown, Outcome::Unknown));
    let texts: BTreeSet<String> =
        [&empty, &absent, &unobserved].iter().map(|finding| finding.participants[0].values[0].1.clone()).collect();
    let messages: BTreeSet<&String> = [&empty, &absent, &unobserved].iter().map(|finding| &finding.message).collect();
    assert_eq!((texts.len(), messages.len()), (3, 3), "{texts:?} {messages:?}");
}

#[test]
fn what_decides_is_named_and_nothing_else() {
    let claim = "claim = 'c.identity.uid == 0 || c.store.db.writable == true'\nmessage = 'm'";
    let finding = run(&one(&each(claim)).unwrap(), &[context("host", json!({ "identity": { "uid": 5 } }))]).remove(0);
    let facts: Vec<&str> = finding.unseen.iter().map(|unseen| unseen.fact.as_str()).collect();
    assert_eq!(facts, ["store.db.writable"]);
    let decided = run(&one(&each(claim)).unwrap(), &[context("host", json!({ "identity": { "uid": 0 } }))]).remove(0);
    assert_eq!(decided.outcome, Outcome::Coherent);
}

#[test]
fn a_difference_of_weak_identities_proves_nothing() {
    let file =
        format!("{HEAD}relation = 'agree'\nlink = 'c.boot'\nvalue = 'c.store.db.identity'\nmessage = 'm {{c.name}}'\n");
    let catalogue = one(&file).unwrap();
    let of = |one: &str, two: &str| {
        let facts = |identity: &str| json!({ "store": { "db": { "identity": identity } } });
        run(&catalogue, &[context("host", facts(one)), context("container:web", facts(two))]).remove(0).outcome
    };
    assert_eq!(of("object:b:1:1:ext4", "object:b:1:2:ext4"), Outcome::Incoherent);
    assert_eq!(of("object~:b:1:1:overlay", "object~:b:1:2:overlay"), Outcome::Unknown);
    assert_eq!(of("object~:b:1:1:overlay", "object~:b:1:1:overlay"), Outcome::Coherent);
}

#[test]
fn a_context_is_not_without_partner_while_a_possible_one_could_not_be_seen() {
    let file = |partners: &str| {
        format!(
            "{HEAD}relation = 'between'\nfrom = \"a.kind == 'container'\"\nto = 'b.store.used'\nlink = 'c.boot'\n\
             claim = 'b.store.db.writable'\nmessage = 'm'\npartners = '{partners}'\nunmatched = 'coherent'\n"
        )
    };
    let outcome = |file: &str, hosts: &[Value]| {
        let mut seen = vec![context("container:web", json!({ "store": { "used": false } }))];
        seen.extend(hosts.iter().enumerate().map(|(at, facts)| context(&format!("user:{at}"), facts.clone())));
        let findings = run(&one(file).unwrap(), &seen);
        findings
            .iter()
            .find(|finding| finding.participants.iter().any(|side| side.name == "web"))
            .map(|row| row.outcome)
    };
    let (used, other) =
        (json!({ "store": { "used": true, "db": { "writable": false } } }), json!({ "store": { "used": false } }));
    assert_eq!(outcome(&file("all"), &[other]), Some(Outcome::Coherent));
    assert_eq!(outcome(&file("all"), &[json!({})]), Some(Outcome::Unknown));
    assert_eq!(outcome(&file("some"), std::slice::from_ref(&used)), Some(Outcome::Incoherent));
    assert_eq!(outcome(&file("some"), &[used, json!({})]), Some(Outcome::Unknown));
}

#[test]
fn one_fault_of_contexts_that_are_alike_is_reported_once_and_counted_for_each() {
    let catalogue = one(&each("claim = 'c.store.db.writable'\nmessage = '{c.name}'")).unwrap();
    let facts = || json!({ "store": { "db": { "writable": false } } });
    let findings =
        run(&catalogue, &[context("host", facts()), context("user:root", facts()), context("service:runner", facts())]);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].subject.as_str(), findings[0].comparisons), ("runner", 3));
    assert_eq!(findings[0].participants[0].contexts, ["host", "service:runner", "user:root"]);
}

/// A cause and a symptom between a container and the daemon, whose rows name different things.
fn cause_and_symptom(cause: &str, symptom: &str) -> Catalogue {
    let pair =
        "relation = 'between'\nfrom = \"a.kind == 'container'\"\nto = \"b.service == 'nix-daemon'\"\nlink = 'c.boot'";
    let files = [("t/cause", cause, ""), ("t/symptom", symptom, "caused-by = ['t/cause']")];
    let file = |(id, body, causes): (&str, &str, &str)| {
        let body = body.replace("PAIR", pair);
        (id.to_owned(), format!("{id}.toml"), format!("{HEAD}message = 'm'\n{causes}\n{body}\n"))
    };
    Catalogue::default().with_files(files.map(file).into()).unwrap_or_else(|error| panic!("{error}"))
}

/// The causes of the symptoms, by the symptom's subject.
fn causes(findings: &[Finding], symptom: &str) -> Vec<(String, Option<String>)> {
    let of = |finding: &Finding| {
        (finding.subject.clone(), finding.caused_by.as_ref().map(|(check, subject)| format!("{check} {subject}")))
    };
    findings.iter().filter(|finding| finding.check == symptom).map(of).collect()
}

#[test]
fn a_symptom_is_put_under_the_cause_of_its_own_pair_also_where_the_subjects_name_others() {
    let catalogue = cause_and_symptom(
        "PAIR\nclaim = 'a.store.db.writable == false'",
        "relation = 'each'\nwhere = \"c.kind == 'container'\"\nclaim = 'c.store.db.writable == false'",
    );
    let of = |writable: bool| json!({ "store": { "db": { "writable": writable } } });
    let seen = [context("container:job", of(true)), context("service:nix-daemon", of(true))];
    let found = run(&catalogue, &seen[..1]);
    assert_eq!(causes(&found, "t/symptom"), [("job".to_owned(), None)]);
    let found = run(&catalogue, &seen);
    assert_eq!(causes(&found, "t/symptom"), [("job".to_owned(), Some("t/cause job / nix-daemon".to_owned()))]);
}

#[test]
fn a_symptom_of_another_element_or_of_another_context_has_no_cause() {
    let rows = "relation = 'each'\nover = 'c.network.endpoints'\nsubject = 'e.url'";
    let catalogue =
        cause_and_symptom(&format!("{rows}\nclaim = 'e.listening'"), &format!("{rows}\nclaim = 'e.loopback'"));
    let endpoint = |url: &str, listening: bool, loopback: bool| json!({ "url": url, "listening": listening, "loopback": loopback });
    // Each in a network of its own: what is equal in one network is one participant.
    let of = |net: u32, endpoints: Vec<Value>| {
        let namespace = format!("object:b:4:{net}:nsfs");
        json!({ "identity": { "namespaces": { "net": namespace } }, "network": { "endpoints": endpoints } })
    };
    let job =
        context("container:job", of(1, vec![endpoint("http://x", false, false), endpoint("http://y", true, false)]));
    let web = context("container:web", of(2, vec![endpoint("http://x", true, false)]));
    let found = causes(&run(&catalogue, &[job, web]), "t/symptom");
    let with =
        |subject: &str| found.iter().find(|(of, _)| of == subject).unwrap_or_else(|| panic!("{found:?}")).1.clone();
    assert_eq!(with("http://x (job)").as_deref(), Some("t/cause http://x (job)"));
    assert_eq!((with("http://y (job)"), with("http://x (web)")), (None, None));
}

#[test]
fn rows_of_other_subjects_are_cause_and_symptom_where_they_say_that_they_are_about_the_same() {
    let list = "relation = 'each'\nover = 'c.network.endpoints'";
    let cause = format!("{list}\nsubject = 'e.named_by'\nabout = '[e.host, e.url]'\nclaim = 'e.listening'");
    let symptom = format!("{list}\nsubject = 'e.url'\nabout = 'e.host'\nclaim = 'e.loopback'");
    let catalogue = cause_and_symptom(&cause, &symptom);
    let endpoint = |host: &str, listening: bool, loopback: bool| json!({ "url": format!("http://{host}/a"), "host": host, "named_by": "nix", "listening": listening, "loopback": loopback });
    let seen =
        |host: &str| json!({ "network": { "endpoints": [endpoint(host, false, true), endpoint("x", true, false)] } });
    let under = |host: &str| causes(&run(&catalogue, &[context("host", seen(host))]), "t/symptom");
    let symptom = "http://x/a (host)".to_owned();
    assert!(under("x").contains(&(symptom.clone(), Some("t/cause nix (host)".to_owned()))), "{:?}", under("x"));
    assert!(under("y").contains(&(symptom, None)), "{:?}", under("y"));
}

#[test]
fn a_mounted_database_is_the_cause_of_the_unused_daemon_and_of_the_unseen_roots() {
    let place = |inode: u32, more: Value| {
        let mut place = json!({ "path": "/nix/p", "exists": true, "identity": format!("object:b:1:{inode}:ext4"), "writable": true,
            "mount": { "filesystem": "ext4", "bind_source": "/nix/p" } });
        more.as_object().into_iter().flatten().for_each(|(key, value)| place[key] = value.clone());
        place
    };
    let store = |chosen: &str, gcroots: u32| {
        json!({ "store": { "used": true, "db": place(1, json!({})), "socket": place(2, json!({})), "dir": place(3, json!({})),
            "gcroots": place(gcroots, json!({})), "chosen": { "kind": chosen, "because": "the state directory can be written" } } })
    };
    let seen = [context("container:job", store("local", 9)), context("service:nix-daemon", store("local", 4))];
    let findings = run(&builtin(), &seen);
    let cause = Some("store/one-writer job / nix-daemon".to_owned());
    for symptom in ["store/daemon-in-use", "store/gc-roots"] {
        let found = causes(&findings, symptom);
        assert!(!found.is_empty() && found.iter().all(|(_, under)| *under == cause), "{symptom}: {found:?}");
    }
}

#[test]
fn foreign_text_in_a_message_can_not_act_on_a_terminal() {
    let catalogue = one(&each("claim = 'false'\nmessage = '{c.store.db.path}'")).unwrap();
    let facts = json!({ "store": { "db": { "path": "a\u{1b}[31m\nb\u{202e}" } } });
    let finding = run(&catalogue, &[context("host", facts)]).remove(0);
    assert_eq!(finding.message, "a\\u{1b}[31m\\nb\\u{202e}");
}

#[test]
fn a_claim_that_takes_too_long_is_unknown_and_not_endless() {
    let nested = "c.tools.missing.all(i, c.tools.missing.all(j, c.tools.missing.all(k, i + j + k != 'x')))";
    let catalogue = one(&each(&format!("claim = \"{nested}\"\nmessage = 'm'"))).unwrap();
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let finding = run(&catalogue, &[context("host", json!({ "tools": { "missing": names } }))]).remove(0);
    assert_eq!(finding.outcome, Outcome::Unknown);
    assert!(finding.message.contains("steps"), "{}", finding.message);
}

#[test]
fn a_waiver_is_refused_when_it_is_expired_unused_or_names_no_check() {
    let catalogue = one(&each("claim = 'c.store.db.writable'\nmessage = 'm'")).unwrap();
    let snapshots = [context("host", json!({ "store": { "db": { "writable": false } } }))];
    let waiver = |check: &str, contexts: &[&str], until: &str| Waiver {
        check: check.into(),
        contexts: contexts.iter().map(ToString::to_string).collect(),
        subject: None,
        reason: "known".into(),
        until: until.parse().unwrap(),
        by: "parallax.toml".into(),
        line: 3,
    };
    let apply = |waiver: Waiver| {
        let options = Options { today: "2026-01-02".parse().unwrap(), waivers: vec![waiver], ..Options::default() };
        evaluate(&catalogue, &snapshots, &options).map_err(|error| error.to_string())
    };
    let waived = apply(waiver("t/t", &["host"], "2026-01-02")).unwrap().remove(0);
    assert_eq!(waived.outcome, Outcome::Waived);
    assert_eq!(waived.waiver.map(|waiver| waiver.instead_of), Some(Outcome::Incoherent));
    for (waiver, words) in [
        (waiver("t/t", &["host"], "2026-01-01"), "expired"),
        (waiver("t/t", &["user:*"], "2026-02-01"), "waives nothing"),
        (waiver("t/v", &["host"], "2026-02-01"), "did you mean `t/t`"),
    ] {
        let problem = apply(waiver).unwrap_err();
        assert!(problem.starts_with("parallax.toml:3: ") && problem.contains(words), "{problem}");
    }
}

/// The snapshots of every example of a check.
fn worlds(catalogue: &Catalogue) -> Vec<(&Check, Vec<Snapshot>)> {
    let read = |example| examples::snapshots(example, root()).unwrap_or_else(|error| panic!("{error}"));
    let of = |check| move |example| (check, read(example));
    catalogue.checks().flat_map(|check| check.definition.examples.iter().map(of(check))).collect()
}

/// Every path at which a fact stands in the document, as JSON pointers.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| pointers(value, format!("{at}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{at}/{index}"), found));
        }
        _ => {}
    }
    found.push(at);
}

/// The same snapshot without the observation at `pointer`; nothing where the types need a value there.
fn without(snapshot: &Snapshot, pointer: &str) -> Option<Snapshot> {
    let mut document = snapshot.to_json();
    let (parent, key) = pointer.rsplit_once('/')?;
    let parent = document.pointer_mut(&format!("/facts{parent}"))?;
    // An element of a list: the rest of the list is what can't be seen any more.
    parent.as_object_mut()?.remove(key)?;
    let path = steps(pointer);
    let unobserved = document.get_mut("unobserved")?.as_object_mut()?;
    unobserved.retain(|known, _| !(known.starts_with(&format!("{path}.")) || known.starts_with(&format!("{path}["))));
    unobserved.insert(path, json!({ "reason": "no-process" }));
    let read = Snapshot::from_json(document.to_string().as_bytes()).ok()?;
    (read != *snapshot).then_some(read)
}

fn steps(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        match step.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path.push_str(step),
            Err(_) => path.push_str(&format!(".{step}")),
        }
    }
    path
}

/// The same snapshot with the last element of a list unseen.
fn cut(snapshot: &Snapshot, pointer: &str) -> Option<Snapshot> {
    let mut document = snapshot.to_json();
    let list = document.pointer_mut(&format!("/facts{pointer}"))?.as_array_mut()?;
    list.pop()?;
    let (path, length) = (steps(pointer), list.len());
    let unobserved = document.get_mut("unobserved")?.as_object_mut()?;
    unobserved.retain(|known, _| !known.starts_with(&format!("{path}[{length}]")));
    unobserved.insert(format!("{path}[*]"), json!({ "reason": "truncated", "at": length, "what": "list" }));
    Snapshot::from_json(document.to_string().as_bytes()).ok()
}

fn contexts(finding: &Finding) -> BTreeSet<&str> {
    finding.participants.iter().flat_map(|participant| participant.contexts.iter().map(String::as_str)).collect()
}

fn verdict(findings: &[Finding]) -> Verdict {
    let run = Run {
        command: "compare".into(),
        host: "h".into(),
        job: None,
        version: "t".into(),
        started_ms: 0,
        took_ms: 0,
        contexts: Vec::new(),
        off_chain: 0,
        notes: Vec::new(),
        missing: Vec::new(),
        allow_unknown: false,
        baseline: None,
        endpoints: Vec::new(),
        findings: findings.to_vec(),
    };
    run.verdict()
}

/// Holds two evaluations to the law: the second one saw less.
fn hold(before: &[Finding], after: &[Finding], what: &str) {
    let subject = |finding: &Finding| (finding.check.clone(), finding.subject.clone());
    let known: BTreeMap<_, _> = before.iter().map(|finding| (subject(finding), finding.outcome)).collect();
    for finding in after.iter().filter(|finding| finding.outcome == Outcome::Coherent) {
        let was = known.get(&subject(finding));
        assert!(matches!(was, None | Some(Outcome::Coherent)), "{what}: {finding:?} was {was:?}");
    }
    for finding in before.iter().filter(|finding| finding.outcome != Outcome::NotApplicable) {
        let stands_in = |other: &&Finding| {
            other.check == finding.check
                && (other.subject == finding.subject
                    || other.outcome == Outcome::Unknown && !contexts(other).is_disjoint(&contexts(finding))
                    || other.outcome == finding.outcome && contexts(other).is_subset(&contexts(finding)))
        };
        assert!(after.iter().any(|other| stands_in(&other)), "{what}: {finding:?} is gone: {after:?}");
    }
    let height = |verdict| match verdict {
        Verdict::Coherent => 0,
        Verdict::Warnings => 1,
        Verdict::Undetermined => 2,
        Verdict::Incoherent => 3,
    };
    let (was, is) = (verdict(before), verdict(after));
    let only_allowed = was == Verdict::Incoherent && is == Verdict::Undetermined;
    assert!(height(is) >= height(was) || only_allowed, "{what}: {was:?} became {is:?}");
}

#[test]
fn taking_any_one_observation_away_never_improves_anything() {
    let catalogue = builtin();
    let mut tried = 0;
    for (check, snapshots) in worlds(&catalogue) {
        let source = vec![(check.id.clone(), check.file.clone(), check.source.clone())];
        // A symptom's cause may be in another file: the law is about this check's own rows.
        let Ok(alone) = Catalogue::default().with_files(source) else { continue };
        let before = run(&alone, &snapshots);
        for (index, snapshot) in snapshots.iter().enumerate() {
            let mut paths = Vec::new();
            pointers(&snapshot.to_json()["facts"], String::new(), &mut paths);
            for path in paths {
                for less in [without(snapshot, &path), cut(snapshot, &path)].into_iter().flatten() {
                    let mut seen = snapshots.clone();
                    seen[index] = less;
                    let what = format!("{} without {path} of {}", check.id, snapshot.context.id);
                    hold(&before, &run(&alone, &seen), &what);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 20, "only {tried} observations were taken away");
}

/// Every relation with every option, as a check file each.
fn every_relation() -> Catalogue {
    let keys = "over = 'c.credentials.s3'\nsubject = 'e.endpoint == null ? string(1) : e.endpoint'\nlink = 'e.endpoint'\nvalue = 'e.account'";
    let pair = "relation = 'between'\nfrom = \"a.kind != 'service'\"\nto = 'b.store.used == true'\nlink = 'c.store.db.identity'\nclaim = 'b.store.db.writable'";
    let urls = "relation = 'between'\nover.a = 'a.network.endpoints'\nover.b = 'b.network.endpoints'\nto = 'eb.listening'\nlink.a = 'ea.url'\nlink.b = 'eb.url'\nsubject = 'ea.url'\nclaim = 'ea.loopback == eb.loopback'";
    let sets = "relation = 'agree'\nlink = 'c.boot'\nvalue = 'c.network.endpoints.filter(e1, e1.listening == true).map(e1, e1.url)'";
    let bodies = [
        ("each", "error", "relation = 'each'\nwhere = 'c.store.used'\nclaim = 'c.network.endpoints.all(x, x.listening)'".to_owned()),
        ("one", "warning", "relation = 'each'\nclaim = 'c.network.endpoints.exists_one(x, x.loopback == true) || size(c.credentials.s3) < 2'".to_owned()),
        ("equal", "warning", format!("relation = 'agree'\n{keys}\nexpect = 'equal'\nabsent = 'value'")),
        ("distinct", "error", format!("relation = 'agree'\n{keys}\nexpect = 'distinct'")),
        ("overlap", "error", format!("{sets}\nexpect = 'overlap'")),
        ("same-list", "warning", sets.to_owned()),
        ("all", "error", format!("{pair}\nunmatched = 'coherent'")),
        ("some", "error", format!("{pair}\npartners = 'some'\nunmatched = 'incoherent'")),
        ("some-url", "warning", format!("{urls}\npartners = 'some'")),
        ("all-url", "error", urls.to_owned()),
        ("many", "error", "relation = 'between'\nlink = 'c.network.endpoints.map(x, x.loopback == true, x.url)'\nclaim = 'a.store.used == b.store.used'".to_owned()),
    ];
    let file = |(id, severity, body): (&str, &str, String)| {
        let head = HEAD.replace("'error'", &format!("'{severity}'"));
        (format!("t/{id}"), format!("{id}.toml"), format!("{head}message = 'm'\n{body}\n"))
    };
    Catalogue::default().with_files(bodies.map(file).into()).unwrap_or_else(|error| panic!("{error}"))
}

fn some_fact() -> impl Strategy<Value = Option<Option<bool>>> {
    proptest::option::of(proptest::option::of(any::<bool>()))
}

/// Contexts that differ in everything that the built-in checks read.
fn some_context(number: usize) -> impl Strategy<Value = Snapshot> {
    let kinds = prop_oneof![Just("host"), Just("user"), Just("service"), Just("container")];
    let text = proptest::option::of(proptest::option::of(prop_oneof![Just("p"), Just("q")]));
    let endpoint = (some_fact(), some_fact(), any::<bool>()).prop_map(|(loopback, listening, one)| {
        object([
            ("url", Some(json!(if one { "http://x" } else { "http://y" }))),
            ("loopback", fact(loopback)),
            ("listening", fact(listening)),
        ])
    });
    let account = (text.clone(), some_fact(), text.clone()).prop_map(|(account, chosen, endpoint)| {
        object([("account", fact(account)), ("chosen", fact(chosen)), ("endpoint", fact(endpoint))])
    });
    let lists = (proptest::collection::vec(endpoint, 0..3), proptest::collection::vec(account, 0..3));
    (kinds, some_fact(), some_fact(), text.clone(), text, lists).prop_map(move |(kind, used, writable, chosen, identity, (endpoints, keys))| {
        let service = kind == "service";
        let id = format!("{kind}:{}", if service { format!("nix-daemon@{number}") } else { number.to_string() });
        let identity = identity.map(|text| text.map(|text| format!("object:b:1:{text}:ext4")));
        let mut snapshot = context(&id, json!({
            "store": object([
                ("used", fact(used)),
                ("db", Some(object([("writable", fact(writable)), ("identity", fact(identity))]))),
                ("chosen", Some(object([("kind", fact(chosen.map(|text| text.map(|text| if text == "p" { "local" } else { "daemon" }))))]))),
            ]),
            "network": { "endpoints": endpoints },
            "credentials": { "s3": keys },
        }));
        snapshot.context.service = service.then(|| "nix-daemon".to_owned());
        snapshot
    })
}

fn fact<T: serde::Serialize>(fact: Option<Option<T>>) -> Option<Value> {
    fact.map(|value| json!(value))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    Value::Object(fields.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect())
}

fn some_world() -> impl Strategy<Value = Vec<Snapshot>> {
    (some_context(0), some_context(1), some_context(2), some_context(3)).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_contexts_does_not_matter(world in some_world(), turn in 0_usize..4) {
        let catalogue = every_relation();
        let mut turned = world.clone();
        turned.rotate_left(turn);
        turned.swap(0, 1);
        prop_assert_eq!(run(&catalogue, &world), run(&catalogue, &turned));
    }

    #[test]
    fn the_subject_of_a_finding_is_unique_in_its_check(world in some_world()) {
        let findings = run(&every_relation(), &world);
        let subjects: BTreeSet<_> = findings.iter().map(|finding| (&finding.check, &finding.subject)).collect();
        prop_assert_eq!(subjects.len(), findings.len());
    }

    #[test]
    fn seeing_less_of_a_random_world_never_improves_anything(world in some_world(), which in 0_usize..4, pick in any::<prop::sample::Index>(), list: bool) {
        let mut paths = Vec::new();
        pointers(&world[which].to_json()["facts"], String::new(), &mut paths);
        let path = &paths[pick.index(paths.len())];
        let less = if list { cut(&world[which], path) } else { without(&world[which], path) };
        if let Some(less) = less {
            let mut seen = world.clone();
            seen[which] = less;
            for catalogue in [builtin(), every_relation()] {
                hold(&run(&catalogue, &world), &run(&catalogue, &seen), path);
                // Each check alone too: another one's row must not hold the exit code up.
                for check in catalogue.checks() {
                    let file = (check.id.clone(), check.file.clone(), check.source.clone());
                    if let Ok(alone) = Catalogue::default().with_files(vec![file]) {
                        hold(&run(&alone, &world), &run(&alone, &seen), path);
                    }
                }
            }
        }
    }
}
