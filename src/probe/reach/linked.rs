//! Endpoints that other contexts name and at which this one connects on their word: a daemon that honours what its clients ask it for.
//!
//! Looked up by this context's own lookup, connected to and shaken hands with, and nothing more: no byte is said after the handshake, no proxy is spoken
//! to. What would be another machine here (loopback of another network namespace) and what lies on the link is never tried.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::plan::{Inquiry, Question, is_of_the_link, questions};
use super::{TOTAL_LIMIT, ask, ask_all};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::{Target, network};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, Linked, Reached};
use crate::snapshot::{Fact, List, ObjectId, Reason};

/// One endpoint, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// As those who name it have it.
    pub endpoint: String,
    /// Which setting, in the words of `network.endpoints`.
    pub named_by: String,
    /// The contexts that name it, by their ids.
    pub named_in: Vec<String>,
    /// What links them.
    pub link: ObjectId,
    /// Whether all of them stand in the network namespace of who is asked, and mean the same machine by loopback.
    pub same_network: bool,
}

/// What is done about one link.
#[derive(Debug)]
pub(super) enum Step {
    Ask(Box<Question>),
    Leave(Reason),
}

/// Asks all of them. They are decided on before anything is sent.
pub fn observe(target: &Target<'_>, links: &[Link], facts: &Facts) -> Fact<List<Linked>> {
    let begun = Instant::now();
    let named: Vec<NamedEndpoint> = links.iter().map(named).collect();
    let mut facts = facts.clone();
    facts.network.names = network::resolved(target, &named);
    let plan = questions(target, &named, &facts);
    let of = |link: &Link| {
        let url = EndpointUrl::parse(&link.endpoint);
        let key = if network::is_nix(&link.named_by) { url.with_path() } else { url.origin() };
        let is_it = |one: &&Question| one.url == key && one.named_by.contains(&link.named_by);
        let question = plan.questions.iter().find(is_it)?;
        Some((link.clone(), Question { inquiry: Inquiry::Nothing, ..question.clone() }))
    };
    let meant: Vec<(Link, Question)> = links.iter().filter_map(of).collect();
    let steps: Vec<Step> = meant.iter().map(|(link, question)| step(link, question)).collect();
    let asked = steps.iter().filter_map(|step| match step {
        Step::Ask(question) => Some((**question).clone()),
        Step::Leave(_) => None,
    });
    let mut answers = ask_all(asked.collect(), TOTAL_LIMIT.saturating_sub(begun.elapsed())).into_iter();
    let items = meant.iter().zip(&steps).filter_map(|((link, question), step)| {
        let reached = match step {
            Step::Ask(_) => answers.next()?,
            Step::Leave(reason) => ask::unanswered(question, reason),
        };
        Some(linked(link, question, reached, &facts))
    });
    Fact::Present(List { items: items.collect(), more: plan.more })
}

fn named(link: &Link) -> NamedEndpoint {
    NamedEndpoint { url: link.endpoint.clone(), named_by: link.named_by.clone(), origin: link.named_in.join(" ") }
}

/// Which of its addresses are tried, if any.
pub(super) fn step(link: &Link, question: &Question) -> Step {
    let rule = |by: &str| Reason::Disabled { by: by.to_owned() };
    if question.proxy.present().is_some() {
        return Step::Leave(rule("the rule that no proxy is spoken to on another context's word"));
    }
    let mut question = question.clone();
    let mut left_out = None;
    let mut leave_out = |question: &mut Question, barred: &dyn Fn(std::net::IpAddr) -> bool, by: &str| {
        let before = question.addresses.len();
        question.addresses.retain(|address| !barred(*address));
        if question.addresses.len() < before {
            left_out = Some(rule(by));
        }
    };
    leave_out(&mut question, &is_of_the_link, "the rule that nothing of the link is tried on another context's word");
    if !link.same_network {
        leave_out(&mut question, &ask::is_here, "the rule that loopback is not tried on another machine's word");
    }
    question.more = left_out.or(question.more);
    match &question.more {
        Some(reason) if question.addresses.is_empty() => Step::Leave(reason.clone()),
        _ => Step::Ask(Box::new(question)),
    }
}

/// In the words of the facts. The addresses are those that the name has, tried or not; `question` has them all.
fn linked(link: &Link, question: &Question, reached: Reached, facts: &Facts) -> Linked {
    let mut known = question.clone();
    known.addresses.retain(|address| !is_of_the_link(*address));
    if known.addresses.len() < question.addresses.len() {
        known.more = Some(Reason::Disabled { by: "the rule that nothing of the link is told of".into() });
    }
    let seen = ask::unanswered(&known, &Reason::NotRecorded);
    let loopback_of = match &seen.loopback {
        Fact::Present(true) => facts.network.namespace.clone(),
        other => other.as_ref().and_then(|_| Fact::Absent),
    };
    Linked {
        url: reached.url,
        named_by: link.named_by.clone(),
        named_in: link.named_in.clone(),
        link: Fact::Present(link.link.clone()),
        host: reached.host,
        port: reached.port,
        loopback: seen.loopback,
        same_machine: loopback_of.as_ref().map(|_| link.same_network),
        loopback_of,
        proxy: reached.proxy,
        addresses: seen.addresses,
        v4: reached.v4,
        v6: reached.v6,
        failures: reached.failures,
        connected: reached.connected,
        peer: reached.peer,
        tls: reached.tls,
    }
}
