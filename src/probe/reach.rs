//! The reach family: what answers under the names that this context's own configuration gives, asked from here.
//!
//! The second round of looking. Connects, as this context and from its network namespace, to the endpoints that its own configuration names and to no
//! others: resolved addresses come from the network family, a redirect is never followed, and no credential is sent. Everything that answers is
//! hostile: reads are bounded, and each question and the whole round have a deadline. Says nothing of what should answer.

mod ask;
pub(super) mod bundle;
pub(super) mod certificate;
pub(super) mod connect;
mod exceptions;
mod hosts;
pub(super) mod http;
mod linked;
pub(super) mod plan;
pub(super) mod proxy;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::probe::Target;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, Reach, Reached};
use crate::snapshot::{Fact, List, Reason};
use plan::Question;

pub use linked::Link;

/// The most time for one endpoint, its retry included.
const ENDPOINT_LIMIT: Duration = Duration::from_millis(5500);
/// The most time for all of them; below what a probe is given, so that what was seen by then is not lost.
const TOTAL_LIMIT: Duration = Duration::from_millis(7000);

/// Asks the endpoints that the configuration of this context names. `facts` are what the families before this one saw.
pub fn observe(target: &Target<'_>, named: &[NamedEndpoint], facts: &Facts) -> Reach {
    let bundles = bundle::named(target, &facts.nix);
    let refusal = match (&target.wishes.reach, crate::probe::network::joined(target)) {
        (Some(by), _) => Some(Reason::Disabled { by: by.clone() }),
        (None, Fact::Unobserved(reason)) => Some(reason),
        (None, _) => target.incomplete.first().map(|missing| Reason::IdentityIncomplete { missing: missing.clone() }),
    };
    if let Some(reason) = refusal {
        let unasked = || Fact::Unobserved(reason.clone());
        return Reach {
            endpoints: unasked(),
            hosts: Fact::Unobserved(reason.clone()),
            bundles,
            linked: Fact::Unobserved(reason),
        };
    }
    if !target.wishes.linked.is_empty() {
        return Reach { linked: linked::observe(target, &target.wishes.linked, facts), bundles, ..Reach::default() };
    }
    let plan = plan::questions(target, named, facts);
    let more = plan.more.or_else(|| facts.network.endpoints.present().and_then(|list| list.more.clone()));
    let hosts = hosts::observe(target, &plan.questions, facts);
    let endpoints = Fact::Present(List { items: ask_all(plan.questions, TOTAL_LIMIT), more });
    Reach { endpoints, hosts, bundles, linked: Fact::default() }
}

/// Asks all of them at once, within this time. Every question has an answer in the result, in order.
fn ask_all(questions: Vec<Question>, limit: Duration) -> Vec<Reached> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let reason = Reason::Unreadable { path: "the own event loop".into(), errno: error.kind().to_string() };
            return questions.iter().map(|question| ask::unanswered(question, &reason)).collect();
        }
    };
    let answers = runtime.block_on(async {
        let deadline = Instant::now() + limit;
        let mut running = JoinSet::new();
        for (index, question) in questions.iter().cloned().enumerate() {
            let limit = (Instant::now() + ENDPOINT_LIMIT).min(deadline);
            running.spawn(async move { (index, ask::ask(&question, limit).await) });
        }
        let mut answers = BTreeMap::new();
        // What is late is left out here and told as such below.
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, running.join_next()).await {
            answers.extend(done);
        }
        answers
    });
    runtime.shutdown_background();
    collected(questions, answers)
}

fn collected(questions: Vec<Question>, mut answers: BTreeMap<usize, Reached>) -> Vec<Reached> {
    let late = |question: &Question| {
        let after_ms = u64::try_from(TOTAL_LIMIT.as_millis()).unwrap_or(u64::MAX);
        ask::unanswered(question, &Reason::TimedOut { after_ms, waiting_for: question.origin() })
    };
    let answer = |(index, question): (usize, Question)| answers.remove(&index).unwrap_or_else(|| late(&question));
    questions.into_iter().enumerate().map(answer).collect()
}

#[cfg(test)]
mod tests;
