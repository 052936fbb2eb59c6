//! Evaluation: checks ranged over the rows of snapshots, to findings. Deterministic: the order in which snapshots are handed in
//! does not matter, and nothing but them, the catalogue and the options is read.

mod agree;
mod between;
mod rows;
mod words;
mod world;

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::catalogue::Catalogue;
use super::definition::Relation;
use super::expression::{Frame, condition};
use super::finding::{Finding, Outcome, Participant};
use super::program::Check;
use super::value::Unknown;
use super::waiver::{self, Waiver, WaiverError};
use crate::snapshot::Snapshot;
use rows::{Rows, bind};
use words::Draft;
use world::World;

/// What an evaluation needs beside snapshots.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The day that waivers are held against.
    pub today: Date,
    /// Waivers, in the order of the files that hold them.
    pub waivers: Vec<Waiver>,
}

/// Evaluates all checks over all snapshots. The findings are in the order in which reports show them: incoherent, unknown, waived, coherent,
/// not applicable; within those by check and subject. Fails for waivers that are wrong, all of them named.
pub fn evaluate(catalogue: &Catalogue, snapshots: &[Snapshot], options: &Options) -> Result<Vec<Finding>, WaiverError> {
    let world = World::new(snapshots);
    let mut findings = Vec::new();
    for check in catalogue.checks() {
        findings.extend(evaluate_check(check, &world));
    }
    attach_causes(catalogue, &mut findings);
    waiver::apply(catalogue, options, &mut findings)?;
    let place = |outcome| match outcome {
        Outcome::Incoherent => 0,
        Outcome::Unknown => 1,
        Outcome::Waived => 2,
        Outcome::Coherent => 3,
        Outcome::NotApplicable => 4,
    };
    findings.sort_by(|one, two| {
        let key = |finding: &Finding| place(finding.outcome);
        (key(one), &one.check, &one.subject).cmp(&(key(two), &two.check, &two.subject))
    });
    Ok(findings)
}

/// The findings of one check, by subject.
fn evaluate_check(check: &Check, world: &World) -> Vec<Finding> {
    let drafts = match check.definition.relation {
        Relation::Each => each(check, world),
        Relation::Agree => agree::agree(check, world),
        Relation::Between => between::between(check, world),
    };
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    for draft in drafts {
        let finding = draft.finding();
        match found.remove(&finding.subject) {
            None => found.insert(finding.subject.clone(), finding),
            Some(known) => found.insert(finding.subject.clone(), worse(known, finding)),
        };
    }
    if found.is_empty() {
        return vec![not_applicable(check)];
    }
    found.into_values().collect()
}

/// Two rows of one subject are one, with the worst outcome.
fn worse(one: Finding, two: Finding) -> Finding {
    let (mut kept, other) = if two.outcome < one.outcome { (two, one) } else { (one, two) };
    kept.comparisons += other.comparisons;
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

fn not_applicable(check: &Check) -> Finding {
    let draft = Draft {
        outcome: Outcome::NotApplicable,
        subject: String::new(),
        participants: Vec::new(),
        message: "there is nothing here that this check is about".to_owned(),
        unseen: Vec::new(),
        comparisons: 0,
        check,
    };
    draft.finding()
}

/// The unknown rows of contexts of which something decisive could not be observed.
fn unknown_contexts<'a>(check: &'a Check, world: &World, unknown: &BTreeMap<usize, Unknown>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for (context, causes) in unknown {
        let Some(of) = world.contexts.get(*context) else { continue };
        let members = [*context];
        let unseen = words::unseen(world, [&members, &members], causes);
        let values = unseen.iter().map(|unseen| (unseen.fact.clone(), format!("not observed ({})", unseen.reason)));
        drafts.push(Draft {
            outcome: Outcome::Unknown,
            subject: of.name.clone(),
            participants: vec![Participant {
                name: of.name.clone(),
                contexts: vec![of.id.clone()],
                values: values.collect(),
            }],
            message: words::unknown_message(&unseen),
            unseen,
            comparisons: 0,
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
        let subject = words::subject(check, &mut frame, &participants);
        drafts.push(judged(check, world, [&row.members, &[]], held, subject, participants, row.count, &mut [frame]));
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
        check,
    };
    match held {
        Ok(true) => draft.message = words::coherent_message(check),
        Ok(false) => {
            draft.outcome = Outcome::Incoherent;
            draft.message = words::message(check, frames);
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

/// A symptom is put under its cause when both fire where the same contexts, and the same element where both have one, take part.
fn attach_causes(catalogue: &Catalogue, findings: &mut [Finding]) {
    let contexts = |finding: &Finding| -> Vec<String> {
        finding.participants.iter().flat_map(|participant| participant.contexts.iter().cloned()).collect()
    };
    // The part of a subject before the participants' names.
    let element = |finding: &Finding| finding.subject.rsplit_once(" (").map(|(element, _)| element.to_owned());
    let fired: Vec<_> = findings
        .iter()
        .filter(|finding| finding.outcome == Outcome::Incoherent)
        .map(|finding| (finding.check.clone(), finding.subject.clone(), contexts(finding), element(finding)))
        .collect();
    for finding in findings.iter_mut().filter(|finding| finding.outcome == Outcome::Incoherent) {
        let Some(check) = catalogue.get(&finding.check) else { continue };
        let (own, about) = (contexts(finding), element(finding));
        let cause = check.caused_by().iter().find_map(|id| {
            fired.iter().find(|(check, _, contexts, element)| {
                let same = about.is_none() || element.is_none() || *element == about;
                check == id && same && contexts.iter().any(|context| own.contains(context))
            })
        });
        finding.caused_by = cause.map(|(check, subject, ..)| (check.clone(), subject.clone()));
    }
}

/// The findings of one check alone.
pub(super) fn evaluate_alone(check: &Check, snapshots: &[Snapshot]) -> Vec<Finding> {
    evaluate_check(check, &World::new(snapshots))
}
