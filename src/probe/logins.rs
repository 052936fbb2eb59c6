//! The logins family: what the endpoints themselves say of this context's credentials, asked with those credentials.
//!
//! A credential is shown to one endpoint only: the one to which a client that is configured with it would show it, and only where this context's own
//! configuration names that endpoint. Over TLS it is shown to nobody whose certificate this context's own roots do not sign for the name; over plain
//! HTTP only where the configuration says `http`. Never after a redirect, and never to a link-local address. Every request reads; none writes. Secrets
//! stay in this process: the facts hold the public half, and words for what was answered.

mod binding;
pub mod bucket;
mod registry;
mod route;
mod s3;
mod verdict;

pub use registry::named as registry_endpoint;
pub use route::not_for_credentials;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::probe::Target;
use crate::probe::credentials::purse;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, Logins};
use crate::snapshot::{Fact, List, Reason};

/// The most time for one credential.
const LOGIN_LIMIT: Duration = Duration::from_millis(5500);
/// The most time for all of them; below what a probe is given, so that what was answered by then is not lost.
const TOTAL_LIMIT: Duration = Duration::from_millis(7000);
/// The most credentials of one kind that are asked about.
const MAX_ASKED: usize = 64;

/// Whether this context has a credential that its endpoint could be asked about.
pub fn concerns(facts: &Facts) -> bool {
    let holds = |more: Option<&Reason>, none: bool| more.is_some() || !none;
    let credentials = &facts.credentials;
    let keys = credentials.s3.present().is_none_or(|list| holds(list.more.as_ref(), list.items.is_empty()));
    let logins = credentials.registries.present().is_none_or(|list| holds(list.more.as_ref(), list.items.is_empty()));
    keys || logins
        || facts.nix.substituters.present().is_some_and(|urls| urls.iter().any(|url| url.starts_with("s3://")))
}

/// What is said of a context that has no credential to ask about.
pub fn nothing_held() -> Logins {
    let (s3, registries) = (Fact::Present(List::default()), Fact::Present(List::default()));
    Logins { s3, registries }
}

/// Asks the endpoints of this context's credentials. `facts` are what the families before this one saw.
pub fn observe(target: &Target<'_>, named: &[NamedEndpoint], facts: &Facts) -> Logins {
    let disabled = target.wishes.no_credentials.as_ref().or(target.wishes.reach.as_ref());
    if disabled.is_none() && !concerns(facts) {
        return nothing_held();
    }
    let refusal = match (disabled, crate::probe::network::joined(target)) {
        (Some(by), _) => Some(Reason::Disabled { by: by.clone() }),
        (None, Fact::Unobserved(reason)) => Some(reason),
        (None, _) => target.incomplete.first().map(|missing| Reason::IdentityIncomplete { missing: missing.clone() }),
    };
    if let Some(reason) = refusal {
        return Logins { s3: Fact::Unobserved(reason.clone()), registries: Fact::Unobserved(reason) };
    }
    let purse = purse(target, &facts.nix);
    let service = target.wishes.service.as_deref();
    let keys = purse.s3.into_iter().filter(|key| is_read_by(service, &key.entry.provider)).collect();
    let (bindings, more) = binding::of_keys(target, named, facts, keys);
    let keys = bindings.into_iter().map(|binding| (s3::unasked(&binding), s3::ask(binding)));
    let s3 = List { items: ask_all(keys.collect(), |answer, reason| answer.outcome = Fact::Unobserved(reason)), more };
    // Docker's configuration is read by its clients; the runner is one.
    let reads = matches!(service, None | Some("gitlab-runner"));
    let held = if reads { purse.registries } else { Vec::new() };
    let (logins, more) = registry::logins(target, facts, held);
    let logins = logins.into_iter().map(|login| (registry::unasked(&login), registry::ask(login)));
    let late = |answer: &mut crate::snapshot::facts::RegistryAnswer, reason| answer.outcome = Fact::Unobserved(reason);
    let registries = List { items: ask_all(logins.collect(), late), more };
    Logins { s3: Fact::Present(s3), registries: Fact::Present(registries) }
}

/// Whether a service that is no client of stores reads a key all the same: only what somebody put into its own environment. That the home of its user
/// has files for other programs says nothing of it. A user, a job and a container may run any program.
fn is_read_by(service: Option<&str>, provider: &str) -> bool {
    is_client(service) || matches!(provider, "environment" | "mc-environment")
}

/// Whether this may be a client of stores: anything but a service that is known to be none.
fn is_client(service: Option<&str>) -> bool {
    matches!(service, None | Some("nix-daemon" | "gitlab-runner"))
}

/// Asks all at once. Every question has an answer in the result, in order; `late` marks one that did not come in time.
fn ask_all<T, F>(questions: Vec<(T, F)>, late: impl Fn(&mut T, Reason)) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let after_ms = u64::try_from(LOGIN_LIMIT.as_millis()).unwrap_or(u64::MAX);
    let reason = || Reason::TimedOut { after_ms, waiting_for: "the endpoint of a credential".into() };
    let (mut answers, futures): (Vec<T>, Vec<F>) = questions.into_iter().unzip();
    answers.iter_mut().for_each(|answer| late(answer, reason()));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() else {
        return answers;
    };
    let mut done = runtime.block_on(async {
        let deadline = Instant::now() + TOTAL_LIMIT;
        let mut running = JoinSet::new();
        for (index, future) in futures.into_iter().enumerate() {
            let limit = (Instant::now() + LOGIN_LIMIT).min(deadline);
            running.spawn(async move { (index, timeout_at(limit, future).await.ok()) });
        }
        let mut done = BTreeMap::new();
        while let Ok(Some(joined)) = timeout_at(deadline, running.join_next()).await {
            if let Ok((index, Some(answer))) = joined {
                done.insert(index, answer);
            }
        }
        done
    });
    runtime.shutdown_background();
    answers.into_iter().enumerate().map(|(index, late)| done.remove(&index).unwrap_or(late)).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_client, is_read_by};

    #[test]
    fn files_in_the_home_of_root_are_not_those_of_an_engine_that_runs_as_root() {
        for service in [None, Some("nix-daemon"), Some("gitlab-runner")] {
            assert!(is_client(service) && is_read_by(service, "profile") && is_read_by(service, "mc-alias"));
        }
        assert!(!is_client(Some("dockerd")));
        assert!(!is_read_by(Some("dockerd"), "profile") && !is_read_by(Some("dockerd"), "mc-alias"));
        assert!(is_read_by(Some("dockerd"), "environment"), "nobody else put it there");
    }
}
