//! What each context says of each endpoint, in words: the matrix of endpoints and contexts that every report can show. Judges nothing.

use std::collections::BTreeMap;

use crate::check::{EndpointAnswer, EndpointNote};
use crate::snapshot::facts::Reached;
use crate::snapshot::{Fact, Snapshot};

/// One note per endpoint that some context was asked about, by name.
pub(super) fn notes(snapshots: &[Snapshot]) -> Vec<EndpointNote> {
    let mut seen: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for snapshot in snapshots {
        for reached in snapshot.facts.reach.endpoints.present().into_iter().flat_map(|list| &list.items) {
            let contexts = seen.entry(format!("{}:{}", reached.host, reached.port)).or_default();
            let words = words(reached);
            match contexts.last_mut().filter(|(id, _)| *id == snapshot.context.id) {
                // Two clients of one context: each answer once.
                Some((_, known)) if known.contains(&words) => {}
                Some((_, known)) => known.push(words),
                None => contexts.push((snapshot.context.id.clone(), vec![words])),
            }
        }
    }
    seen.into_iter().map(|(endpoint, contexts)| EndpointNote { endpoint, answers: folded(contexts) }).collect()
}

fn folded(contexts: Vec<(String, Vec<String>)>) -> Vec<EndpointAnswer> {
    let mut answers: Vec<EndpointAnswer> = Vec::new();
    for (id, words) in contexts {
        let seen = words.join("; ");
        match answers.iter_mut().find(|answer| answer.seen == seen) {
            Some(answer) => answer.contexts.push(id),
            None => answers.push(EndpointAnswer { contexts: vec![id], seen }),
        }
    }
    answers
}

/// One endpoint as one context sees it.
fn words(reached: &Reached) -> String {
    let way = match (&reached.proxy, &reached.peer) {
        (Fact::Present(proxy), _) => format!(" through {proxy}"),
        (_, Fact::Present(peer)) => format!(" {peer}"),
        _ => String::new(),
    };
    match &reached.connected {
        Fact::Present(true) => {
            let parts = std::iter::once(format!("connected{way}")).chain(certificate(reached)).chain(service(reached));
            parts.collect::<Vec<_>>().join(", ")
        }
        Fact::Present(false) => {
            let families = [("IPv4", &reached.v4), ("IPv6", &reached.v6)];
            let told = families.iter().filter_map(|(name, fact)| Some(format!("{} over {name}", fact.present()?)));
            let told: Vec<String> = told.collect();
            if told.is_empty() { format!("not connected{way}") } else { told.join(", ") }
        }
        Fact::Absent => "no address".to_owned(),
        Fact::Unobserved(reason) => format!("not observed: {reason}"),
    }
}

fn certificate(reached: &Reached) -> Vec<String> {
    let tls = &reached.tls;
    let wrong = [
        (&tls.trusted, "its root in no bundle here"),
        (&tls.current, "its certificate not valid now"),
        (&tls.names_host, "its certificate for another name"),
    ];
    wrong.iter().filter(|(fact, _)| **fact == Fact::Present(false)).map(|(_, word)| (*word).to_owned()).collect()
}

fn service(reached: &Reached) -> Option<String> {
    let service = &reached.service;
    match (&service.kind, service.status.present()) {
        (Fact::Present(kind), Some(status)) => Some(format!("{kind} {status}")),
        (Fact::Unobserved(reason), _) => Some(format!("what answers not observed: {reason}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::snapshot::Fact;
    use crate::snapshot::facts::{Certificate, Reached, Service};

    #[test]
    fn an_endpoint_is_told_by_its_way_its_certificate_and_its_service() {
        let here = |word: &str| Fact::Present(word.to_owned());
        let refused =
            Reached { connected: Fact::Present(false), v4: here("refused"), v6: Fact::Absent, ..Reached::default() };
        assert_eq!(words(&refused), "refused over IPv4");
        let reached = Reached {
            connected: Fact::Present(true),
            peer: here("192.0.2.7"),
            tls: Certificate { trusted: Fact::Present(false), ..Certificate::default() },
            service: Service { kind: here("nix-cache"), status: Fact::Present(200), ..Service::default() },
            ..Reached::default()
        };
        assert_eq!(words(&reached), "connected 192.0.2.7, its root in no bundle here, nix-cache 200");
        assert_eq!(words(&Reached { connected: Fact::Absent, ..Reached::default() }), "no address");
        assert!(words(&Reached::default()).starts_with("not observed: "));
    }
}
