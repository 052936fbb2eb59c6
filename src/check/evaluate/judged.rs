//! Rows that were evaluated: as they are, and beside that as one caller is told them. Causes, waivers and the order are settled last.

use std::collections::{BTreeMap, BTreeSet};

use super::words::Draft;
use super::{Options, Secrets, attach_causes, worse};
use crate::check::catalogue::Catalogue;
use crate::check::definition::{Expect, Relation};
use crate::check::disclosure::WITHHELD;
use crate::check::finding::{Finding, Outcome, Unseen};
use crate::check::program::Check;
use crate::check::waiver::{self, WaiverError};

/// All rows of a run.
pub struct Judged<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) rows: Vec<Row>,
    /// Whether waivers may be told as they are.
    pub(super) open: bool,
    /// The checks of which a row was left out.
    pub(super) in_part: BTreeSet<String>,
}

/// A kind of looking that the caller did without, in every context: what is unobserved for that reason alone was never to be compared.
pub struct Choice {
    /// The reason, in the words that a row gives it.
    pub reason: String,
    /// The facts that it may take away, with all below them.
    pub facts: &'static [&'static str],
}

impl Choice {
    fn explains(&self, unseen: &Unseen) -> bool {
        let below = |list: &&str| {
            unseen.fact.strip_prefix(*list).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        unseen.reason == self.reason && self.facts.iter().any(below)
    }
}

/// One row.
pub struct Row {
    truth: Finding,
    told: Option<Finding>,
    secrets: Secrets,
    /// Whether several secrets of one context in this row make it incoherent whatever others hold.
    all_equal: bool,
}

/// One row in which a secret of the caller is compared with another context's.
pub struct Compared<'a> {
    /// Which row: for [`Judged::hold`].
    pub row: usize,
    /// The check.
    pub check: &'a str,
    /// The fingerprints of the caller, under this run's key.
    pub own: Vec<&'a str>,
    /// Those of others.
    pub others: Vec<&'a str>,
    /// Whether several secrets of the caller in this row give nothing away.
    pub all_equal: bool,
}

impl Row {
    pub(super) fn new(check: &Check, mut truth: Draft<'_>, told: Option<Draft<'_>>) -> Self {
        let secrets = std::mem::take(&mut truth.secrets);
        let expect = check.definition.expect.as_ref().map(|expect| *expect.get_ref()).unwrap_or_default();
        let all_equal = check.definition.relation == Relation::Agree && expect == Expect::Equal;
        Self { truth: truth.finding(), told: told.map(Draft::finding), secrets, all_equal }
    }

    /// Two rows of one subject are one.
    pub(super) fn join(self, other: Self) -> Self {
        let mut secrets = self.secrets;
        secrets.own.extend(other.secrets.own);
        secrets.others.extend(other.secrets.others);
        Self {
            told: self.told.zip(other.told).map(|(one, two)| worse(one, two)),
            truth: worse(self.truth, other.truth),
            all_equal: self.all_equal && other.all_equal,
            secrets,
        }
    }

    pub(super) fn truth(self) -> Finding {
        self.truth
    }

    pub(super) fn subject(&self) -> &str {
        &self.truth.subject
    }
}

impl Judged<'_> {
    /// The rows in which a secret of the caller is compared with others'.
    pub fn compared(&self) -> Vec<Compared<'_>> {
        let comparing = self.rows.iter().enumerate();
        let comparing = comparing.filter(|(_, row)| !row.secrets.own.is_empty() && !row.secrets.others.is_empty());
        let compared = comparing.map(|(index, row)| Compared {
            row: index,
            check: &row.truth.check,
            own: row.secrets.own.iter().map(String::as_str).collect(),
            others: row.secrets.others.iter().map(String::as_str).collect(),
            all_equal: row.all_equal,
        });
        compared.collect()
    }

    /// Keeps what a row came to: it is unknown, for this reason.
    pub fn hold(&mut self, row: usize, reason: &str) {
        let Some(row) = self.rows.get_mut(row) else { return };
        for finding in [Some(&mut row.truth), row.told.as_mut()].into_iter().flatten() {
            finding.outcome = Outcome::Unknown;
            finding.message = format!("could not be compared: {reason}");
            finding.comparisons = 0;
            (finding.why, finding.fix) = (String::new(), String::new());
            finding.unseen.clear();
        }
    }

    /// Takes out the rows that are unknown for nothing but what the caller chose. Returns how many of them by each choice; of several the first that
    /// the row names. Checks that are left out as a whole are not counted. An incoherence is never taken out: it was proven without what is missing.
    pub fn leave_out(&mut self, choices: &[Choice], left_out: &BTreeSet<String>) -> BTreeMap<String, usize> {
        let chosen = |unseen: &Unseen| choices.iter().find(|choice| choice.explains(unseen));
        let mut counts = BTreeMap::new();
        let in_part = &mut self.in_part;
        self.rows.retain(|row| {
            let of_choice =
                row.truth.outcome == Outcome::Unknown && row.truth.unseen.iter().all(|one| chosen(one).is_some());
            let Some(choice) = row.truth.unseen.first().and_then(chosen).filter(|_| of_choice) else { return true };
            if left_out.contains(&row.truth.check) {
                return true;
            }
            *counts.entry(choice.reason.clone()).or_default() += 1;
            in_part.insert(row.truth.check.clone());
            false
        });
        counts
    }

    /// The findings in the order in which reports show them. Fails for waivers that are wrong.
    pub fn finish(self, options: &Options) -> Result<Vec<Finding>, WaiverError> {
        let (catalogue, open, in_part) = (self.catalogue, self.open, self.in_part);
        let is_made = |row: &Row| !options.left_out.contains(&row.truth.check);
        let (mut truths, tolds): (Vec<Finding>, Vec<Option<Finding>>) =
            self.rows.into_iter().filter(is_made).map(|row| (row.truth, row.told)).unzip();
        attach_causes(catalogue, &mut truths);
        waiver::apply(catalogue, options, &in_part, &mut truths)?;
        let called: BTreeMap<(String, String), String> = truths
            .iter()
            .zip(&tolds)
            .filter_map(|(truth, told)| Some((key(truth), told.as_ref()?.subject.clone())))
            .collect();
        let told = |(truth, told): (Finding, Option<Finding>)| match told {
            None => truth,
            Some(told) => as_told(truth, told, &called, open),
        };
        let mut findings: Vec<Finding> = truths.into_iter().zip(tolds).map(told).collect();
        findings.sort_by(|one, two| order(one).cmp(&order(two)));
        Ok(findings)
    }
}

fn key(finding: &Finding) -> (String, String) {
    (finding.check.clone(), finding.subject.clone())
}

fn order(finding: &Finding) -> (u8, &str, &str) {
    (finding.outcome.place(), &finding.check, &finding.subject)
}

/// The finding that is told, with what was settled about the one that is true.
fn as_told(truth: Finding, told: Finding, called: &BTreeMap<(String, String), String>, open: bool) -> Finding {
    let caused_by = truth.caused_by.and_then(|cause| {
        let subject = called.get(&cause)?.clone();
        Some((cause.0, subject))
    });
    let waiver = truth.waiver.map(|mut waiver| {
        if !open {
            // What the host's administrator wrote is for people who may read the host's configuration.
            (waiver.reason, waiver.by) = (WITHHELD.to_owned(), "the host's configuration".to_owned());
        }
        waiver
    });
    // What rows have in common with their causes is made of values that the caller may not know.
    Finding { outcome: truth.outcome, caused_by, waiver, about: Vec::new(), ..told }
}
