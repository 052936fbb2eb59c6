//! What names mean here: `localhost` and the hosts of the named endpoints, for every flavour that programs here use.

use std::collections::{BTreeMap, BTreeSet};

use super::dns::{self, Question};
use super::flavour::{Answer, Step, look_up};
use super::sources::{Flavour, Sources};
use crate::formats::endpoint_url::EndpointUrl;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::ResolvedName;
use crate::snapshot::{Fact, List, Reason};

/// The most names that are looked up.
const MAX_NAMES: usize = 64;

/// One element per name and flavour. Names are first looked up without DNS, to know which questions have to be asked at all.
pub fn resolve(sources: &Sources, joined: &Fact<()>, offline: bool, named: &[NamedEndpoint]) -> List<ResolvedName> {
    let (names, more) = names(named);
    let pairs: Vec<(String, Flavour)> =
        names.iter().flat_map(|name| sources.flavours.iter().map(|flavour| (name.clone(), *flavour))).collect();
    let refusal = match joined {
        Fact::Unobserved(reason) => Some(reason.clone()),
        _ if offline => Some(Reason::Disabled { by: "--offline".into() }),
        _ => None,
    };
    let mut questions = Vec::new();
    let mut known: BTreeMap<Question, Step> = BTreeMap::new();
    for (name, flavour) in &pairs {
        let question = Question { name: name.clone(), flavour: *flavour };
        let mut needed = false;
        look_up(sources, *flavour, name, &mut || {
            needed = true;
            Step::Unknown(Reason::NotRecorded)
        });
        if !needed {
            continue;
        }
        match (refusal.clone(), sources.resolver(*flavour)) {
            (Some(reason), _) | (None, Fact::Unobserved(reason)) => {
                known.insert(question, Step::Unknown(reason));
            }
            (None, Fact::Present(conf)) => questions.push((question, conf)),
            (None, Fact::Absent) => {}
        }
    }
    known.append(&mut dns::ask(questions));
    let items = pairs.into_iter().map(|(name, flavour)| {
        let question = Question { name: name.clone(), flavour };
        let step = known.remove(&question).unwrap_or(Step::Unknown(Reason::NotRecorded));
        let Answer { v4, v6, source } = look_up(sources, flavour, &name, &mut || step.clone());
        ResolvedName { name, flavour: flavour.word().to_owned(), v4, v6, source }
    });
    List { items: items.collect(), more: more.or_else(|| sources.more_flavours.clone()) }
}

fn names(named: &[NamedEndpoint]) -> (BTreeSet<String>, Option<Reason>) {
    let mut names = BTreeSet::from(["localhost".to_owned()]);
    for endpoint in named {
        let url = EndpointUrl::parse(&endpoint.url);
        if url.literal().is_some() {
            continue;
        }
        let Some(host) = url.host else { continue };
        if names.len() == MAX_NAMES && !names.contains(&host) {
            return (names, Some(Reason::Truncated { at: MAX_NAMES as u64, what: "the names of endpoints".into() }));
        }
        names.insert(host);
    }
    (names, None)
}
