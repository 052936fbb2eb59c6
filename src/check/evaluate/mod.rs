//! Evaluation: checks ranged over the rows of snapshots, to findings. Deterministic: the order in which snapshots are handed in
//! does not matter, and nothing but them, the catalogue and the options is read.

mod agree;
mod between;
mod judged;
mod rows;
mod secrets;
mod told;
mod words;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::catalogue::Catalogue;
use super::definition::Relation;
use super::disclosure::Disclosure;
use super::expression::{Frame, condition};
use super::finding::{Finding, Outcome, Participant};
use super::program::Check;
use super::value::Unknown;
use super::waiver::{Waiver, WaiverError};
use crate::snapshot::Snapshot;
use rows::{Rows, bind};
use secrets::{Secrets, links_secrets};
use words::Draft;
use world::World;

pub use judged::{Choice, Compared, Judged};

/// What an evaluation needs beside snapshots.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The day that waivers are held against.
    pub today: Date,
    /// Waivers, in the order of the files that hold them.
    pub waivers: Vec<Waiver>,
    /// Whether only a part of the host was looked at, so that a waiver may find nothing to waive.
    pub partial: bool,
    /// Ids of checks that are not evaluated, because the caller left out the looking that they are about. No row stands for them.
    pub left_out: BTreeSet<String>,
}

/// Evaluates all checks over all snapshots. The findings are in the order in which reports show them: incoherent, unknown, waived, coherent,
/// not applicable; within those by check and subject. Fails for waivers that are wrong, all of them named.
pub fn evaluate(catalogue: &Catalogue, snapshots: &[Snapshot], options: &Options) -> Result<Vec<Finding>, WaiverError> {
    judge(catalogue, snapshots, None).finish(options)
}

/// Evaluates all checks, and writes what comes of it for one caller where there is one. Outcomes do not depend on who is told.
pub fn judge<'a>(catalogue: &'a Catalogue, snapshots: &[Snapshot], disclosure: Option<&Disclosure>) -> Judged<'a> {
    let mut world = World::new(snapshots, disclosure);
    let truths: Vec<(&Check, Vec<Draft>)> = catalogue.checks().map(|check| (check, drafts(check, &world))).collect();
    let mut rows = Vec::new();
    let Some(to) = disclosure else {
        for (check, drafts) in truths {
            rows.extend(merged(check, drafts.into_iter().map(|truth| judged::Row::new(check, truth, None))));
        }
        return Judged { catalogue, rows, open: true, in_part: BTreeSet::new() };
    };
    world.tell(to);
    for (check, truths) in truths {
        if links_secrets(check) {
            rows.push(judged::Row::new(check, not_for_callers(check), Some(not_for_callers(check))));
            continue;
        }
        // The same rows in the same order: only words differ.
        let tolds = drafts(check, &world);
        debug_assert_eq!(truths.len(), tolds.len(), "{}", check.id);
        let both = truths.into_iter().zip(tolds);
        rows.extend(merged(check, both.map(|(truth, told)| judged::Row::new(check, truth, Some(told)))));
    }
    Judged { catalogue, rows, open: to.is_open(), in_part: BTreeSet::new() }
}

fn drafts<'a>(check: &'a Check, world: &World) -> Vec<Draft<'a>> {
    let drafts = match check.definition.relation {
        Relation::Each => each(check, world),
        Relation::Agree => agree::agree(check, world),
        Relation::Between => between::between(check, world),
    };
    if drafts.is_empty() { vec![not_applicable(check)] } else { drafts }
}

/// The rows of one check, by subject.
fn merged(check: &Check, rows: impl Iterator<Item = judged::Row>) -> Vec<judged::Row> {
    let mut found: BTreeMap<String, judged::Row> = BTreeMap::new();
    for row in rows {
        let subject = row.subject().to_owned();
        let row = match found.remove(&subject) {
            Some(known) => known.join(row),
            None => row,
        };
        found.insert(subject, row);
    }
    debug_assert!(!found.is_empty(), "{}", check.id);
    found.into_values().collect()
}

/// A check whose very rows would say which secrets are equal.
fn not_for_callers(check: &Check) -> Draft<'_> {
    let message =
        "could not be compared: this check links contexts by a secret, which is not done for a caller".to_owned();
    Draft { outcome: Outcome::Unknown, message, ..not_applicable(check) }
}

/// Two rows of one subject are one, with the worst outcome.
fn worse(one: Finding, two: Finding) -> Finding {
    let (mut kept, other) = if two.outcome < one.outcome { (two, one) } else { (one, two) };
    kept.comparisons += other.comparisons;
    // A row that holds is no part of what is wrong.
    if kept.outcome == other.outcome {
        kept.about.extend(other.about);
    }
    kept.unseen.extend(other.unseen);
    kept.unseen.sort();
    kept.unseen.dedup();
    for participant in other.participants {
        if !kept.participants.contains(&participant) {
            kept.participants.push(participant);
        }
    }
    kept
}

fn not_applicable(check: &Check) -> Draft<'_> {
    Draft {
        outcome: Outcome::NotApplicable,
        subject: String::new(),
        participants: Vec::new(),
        message: "there is nothing here that this check is about".to_owned(),
        unseen: Vec::new(),
        comparisons: 0,
        secrets: Secrets::default(),
        about: Vec::new(),
        check,
    }
}

/// The unknown rows of contexts of which something decisive could not be observed.
fn unknown_contexts<'a>(check: &'a Check, world: &World, unknown: &BTreeMap<usize, Unknown>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for (context, causes) in unknown {
        let members = [*context];
        let unseen = words::unseen(world, [&members, &members], causes);
        let values = unseen.iter().map(|unseen| (unseen.fact.clone(), format!("not observed ({})", unseen.reason)));
        drafts.push(Draft {
            outcome: Outcome::Unknown,
            subject: world.name(*context).to_owned(),
            participants: vec![Participant {
                name: world.name(*context).to_owned(),
                contexts: vec![world.id(*context).to_owned()],
                values: values.collect(),
            }],
            message: words::unknown_message(&unseen),
            unseen,
            comparisons: 0,
            secrets: Secrets::default(),
            about: Vec::new(),
            check,
        });
    }
    drafts
}

fn each<'a>(check: &'a Check, world: &World) -> Vec<Draft<'a>> {
    let Some(side) = check.program.sides.first() else { return Vec::new() };
    let gathered = Rows::gather(world, side);
    let mut drafts = unknown_contexts(check, world, &gathered.unknown);
    for row in &gathered.rows {
        let mut frame = bind(world, side, row.context, row.element.as_ref(), Frame::new());
        let held = condition(frame.evaluate(&check.program.test));
        let participants = vec![words::participant(world, side, row)];
        let subject = words::subject(world, check, &mut frame, &participants);
        let mut secrets = Secrets::default();
        secrets.add(world, side, row);
        let draft = judged(check, world, [&row.members, &[]], held, subject, participants, row.count, &mut [frame]);
        drafts.push(Draft { secrets, ..draft });
    }
    drafts
}

/// The row of a claim that was evaluated.
#[expect(clippy::too_many_arguments, reason = "a row is exactly this; a structure would be taken apart at once")]
fn judged<'a>(
    check: &'a Check,
    world: &World,
    members: [&[usize]; 2],
    held: Result<bool, Unknown>,
    subject: String,
    participants: Vec<Participant>,
    count: u64,
    frames: &mut [Frame<'_>],
) -> Draft<'a> {
    let mut draft = Draft {
        outcome: Outcome::Coherent,
        subject,
        participants,
        message: String::new(),
        unseen: Vec::new(),
        comparisons: count,
        secrets: Secrets::default(),
        about: words::about(check, frames),
        check,
    };
    match held {
        Ok(true) => draft.message = words::coherent_message(check),
        Ok(false) => {
            draft.outcome = Outcome::Incoherent;
            draft.message = words::message(world, check, frames);
        }
        Err(causes) => {
            draft.outcome = Outcome::Unknown;
            draft.unseen = words::unseen(world, members, &causes);
            draft.message = words::unknown_message(&draft.unseen);
            draft.comparisons = 0;
        }
    }
    draft
}

/// A symptom is put under its cause when both fire on the same thing (what their checks say they are about, else the element, where both name one) and
/// their participants overlap: a context takes part in both. Which others take part with it, and so the subjects, may differ. Of several causes the one with the most contexts in common is
/// taken, so that a fault between a container and the daemon is put under the fault of that same pair.
fn attach_causes(catalogue: &Catalogue, findings: &mut [Finding]) {
    let fired: Vec<Fired> =
        findings.iter().filter(|finding| finding.outcome == Outcome::Incoherent).map(Fired::of).collect();
    let mut by_check: BTreeMap<&str, Vec<&Fired>> = BTreeMap::new();
    fired.iter().for_each(|fired| by_check.entry(&fired.check).or_default().push(fired));
    for finding in findings.iter_mut().filter(|finding| finding.outcome == Outcome::Incoherent) {
        let Some(check) = catalogue.get(&finding.check).filter(|check| !check.caused_by().is_empty()) else { continue };
        let own = Fired::of(finding);
        let cause = check.caused_by().iter().find_map(|id| {
            let mut best: Option<(usize, &Fired)> = None;
            for cause in by_check.get(id.as_str()).into_iter().flatten().filter(|cause| own.same_element(cause)) {
                let shared = own.contexts.intersection(&cause.contexts).count();
                if shared > best.map_or(0, |(most, _)| most) {
                    best = Some((shared, cause));
                }
            }
            best.map(|(_, cause)| cause)
        });
        finding.caused_by = cause.map(|cause| (cause.check.clone(), cause.subject.clone()));
    }
}

/// An incoherence, as far as it may be a cause or a symptom.
struct Fired {
    check: String,
    subject: String,
    /// What it is about beside its participants: the part of the subject before their names.
    element: Option<String>,
    /// What its check says that it is about.
    about: BTreeSet<String>,
    contexts: BTreeSet<String>,
}

impl Fired {
    fn of(finding: &Finding) -> Self {
        let names: Vec<&str> = finding.participants.iter().map(|participant| participant.name.as_str()).collect();
        // A subject names all participants, or only the one that it is about; an element may itself end in parentheses.
        let element = [names.join(" / "), names.first().copied().unwrap_or_default().to_owned()]
            .iter()
            .find_map(|names| finding.subject.strip_suffix(&format!(" ({names})")))
            .map(str::to_owned);
        let contexts = finding.participants.iter().flat_map(|participant| participant.contexts.iter().cloned());
        Self {
            check: finding.check.clone(),
            subject: finding.subject.clone(),
            element,
            about: finding.about.iter().cloned().collect(),
            contexts: contexts.collect(),
        }
    }

    fn same_element(&self, other: &Self) -> bool {
        if !self.about.is_empty() && !other.about.is_empty() {
            return !self.about.is_disjoint(&other.about);
        }
        self.element.is_none() || other.element.is_none() || self.element == other.element
    }
}

/// The findings of one check alone.
pub(super) fn evaluate_alone(check: &Check, snapshots: &[Snapshot]) -> Vec<Finding> {
    let world = World::new(snapshots, None);
    let rows = drafts(check, &world).into_iter().map(|truth| judged::Row::new(check, truth, None));
    merged(check, rows).into_iter().map(judged::Row::truth).collect()
}
