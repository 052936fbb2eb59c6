//! The second round, paths: what is here at the paths that contexts linked with this one name. Asked by children of their own, after everybody was
//! looked at once and before any endpoint is asked.
//!
//! A Nix daemon's roots are asked of the daemon itself and of whoever has its socket. A file that a client's configuration has the daemon open is asked of the
//! daemon where it trusts that client: it would open it anyway. A volume that a container took from its engine's machine is asked of the job that
//! drives that engine and has the same path. Nothing else is asked of anybody on another's word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::exit::Failure;
use super::gather;
use super::handshake;
use super::trust::{DAEMON, trusts};
use crate::context::Context;
use crate::context::discover::docker::Named;
use crate::context::enter::{Entrance, Looked};
use crate::probe::Wishes;
use crate::probe::paths::{AskedPath, LATER, NamedAs, PathWishes};
use crate::snapshot::secret::RunKey;
use crate::snapshot::{Fact, List, Reason};

/// How long the contexts may take for it: what lies on a dead filesystem must not cost the endpoints their time.
const PATIENCE: Duration = Duration::from_secs(4);
/// The most files and volumes that one context is asked about, beside the roots of its daemon.
const MOST: usize = 256;

/// What is known beside the contexts that are looked from.
#[derive(Default)]
pub(super) struct Around<'a> {
    /// What engines say of containers, by the ids of their contexts.
    pub(super) engines: Option<&'a BTreeMap<String, Named>>,
    /// Why a Nix daemon could not be looked from, where one could not.
    pub(super) unseen_daemon: Option<Reason>,
    /// How many of the last contexts are looked at only for what they tell of the others.
    pub(super) beside: usize,
}

/// What one context is asked.
#[derive(Default)]
struct Question {
    paths: BTreeSet<AskedPath>,
    /// Why there may be more that it should have been asked.
    more: Option<Reason>,
}

/// Asks, and puts the answers where they belong.
pub(super) async fn ask(
    entrance: &Arc<Entrance>,
    contexts: &[Context],
    looks: &mut [Looked],
    around: &Around<'_>,
    (wishes, key, deadline): (&Wishes, &Arc<RunKey>, Instant),
) -> Result<(), Failure> {
    if wishes.paths.left_out.is_some() {
        return Ok(());
    }
    let questions = questions(contexts, looks, around);
    let is_asked = |(index, question): (usize, &Question)| (!question.paths.is_empty()).then_some(index);
    let asked: Vec<usize> = questions.iter().enumerate().filter_map(is_asked).collect();
    for (look, question) in looks.iter_mut().zip(&questions).filter(|(look, _)| look.refused.is_none()) {
        // Whoever was entered and asked nothing has nothing to see.
        look.facts.paths.seen = Fact::Present(List { items: Vec::new(), more: question.more.clone() });
    }
    let turn = |waiting: bool, asked: &[usize], looks: &[Looked]| {
        let mut turns = Vec::new();
        for index in asked {
            let Some(((context, look), question)) =
                contexts.get(*index).zip(looks.get(*index)).zip(questions.get(*index))
            else {
                continue;
            };
            let paths =
                PathWishes { asked: Some(question.paths.iter().cloned().collect()), waiting, ..PathWishes::default() };
            let wishes = Wishes { paths, ..wishes.clone() };
            turns.push((gather::request(context, key, &wishes, Some(""))?, handshake::all_but(&["paths"], look)?));
        }
        Ok::<_, Failure>(turns)
    };
    let names = |asked: &[usize]| -> Vec<String> {
        let contexts = asked.iter().filter_map(|index| contexts.get(*index));
        contexts.map(|context| format!("paths, as {}", context.header.name)).collect()
    };
    let until = || deadline.min(Instant::now() + PATIENCE);
    let answers = gather::in_parallel(entrance, turn(false, &asked, looks)?, &names(&asked), until()).await?;
    let waiting: Vec<usize> = put(looks, asked.iter().copied().zip(answers));
    if !waiting.is_empty() {
        let answers = gather::in_parallel(entrance, turn(true, &waiting, looks)?, &names(&waiting), until()).await?;
        put(looks, waiting.iter().copied().zip(answers));
    }
    Ok(())
}

/// Adds what was seen to what is known, and returns who has left something for a child that may wait.
fn put(looks: &mut [Looked], answers: impl Iterator<Item = (usize, Looked)>) -> Vec<usize> {
    let later = |reason: &Reason| matches!(reason, Reason::Disabled { by } if by == LATER);
    let mut waiting = Vec::new();
    for (index, answer) in answers {
        let Some(look) = looks.get_mut(index) else { continue };
        look.unfinished.extend(answer.unfinished);
        let Fact::Present(known) = &mut look.facts.paths.seen else { continue };
        let more = match answer.facts.paths.seen {
            Fact::Present(list) => {
                known.items.extend(list.items);
                list.more
            }
            Fact::Absent => None,
            // A context that is gone, or a path that nobody answers for.
            Fact::Unobserved(reason) => Some(reason),
        };
        if more.as_ref().is_some_and(later) {
            waiting.push(index);
        }
        known.more = known.more.take().or_else(|| more.filter(|reason| !later(reason)));
    }
    waiting
}

fn questions(contexts: &[Context], looks: &[Looked], around: &Around<'_>) -> Vec<Question> {
    let mut questions: Vec<Question> = looks.iter().map(|_| Question::default()).collect();
    for (index, look) in looks.iter().enumerate() {
        let is_daemon = contexts.get(index).is_some_and(|context| context.header.service.as_deref() == Some(DAEMON));
        if let Some(question) = questions.get_mut(index).filter(|_| is_daemon) {
            roots(question, look, NamedAs::OwnRoot);
            files(question, look, looks);
        }
    }
    for (index, look) in looks.iter().enumerate() {
        let Some((question, context)) = questions.get_mut(index).zip(contexts.get(index)) else { continue };
        if context.header.service.as_deref() == Some(DAEMON) {
            continue;
        }
        if look.facts.store.socket.exists.present() == Some(&true) {
            question.more = question.more.take().or_else(|| around.unseen_daemon.clone());
        }
        let daemons = contexts.iter().zip(looks).filter(|(other, _)| other.header.service.as_deref() == Some(DAEMON));
        for (_, daemon) in daemons {
            match shares_socket(look, daemon) {
                Ok(true) => roots(question, daemon, NamedAs::RootOfDaemon),
                Ok(false) => {}
                Err(reason) => question.more = question.more.take().or(Some(reason)),
            }
        }
        around.engines.iter().for_each(|engines| volumes(question, context, look, engines));
    }
    questions
}

/// Whether two contexts have one daemon's socket; a difference that proves nothing counts as one, for the checks' link says so itself.
fn shares_socket(one: &Looked, other: &Looked) -> Result<bool, Reason> {
    match (&one.facts.store.socket.identity, &other.facts.store.socket.identity) {
        (Fact::Present(one), Fact::Present(other)) => Ok(one == other),
        (Fact::Absent, _) | (_, Fact::Absent) => Ok(false),
        // A socket behind a directory that this identity may not enter is none for it.
        (Fact::Unobserved(reason), _) | (_, Fact::Unobserved(reason)) => Err(reason.clone()),
    }
}

fn roots(question: &mut Question, daemon: &Looked, named_as: NamedAs) {
    match &daemon.facts.paths.registered {
        Fact::Present(list) => {
            let asked = list.items.iter().map(|path| AskedPath { path: path.clone(), named_as: named_as.clone() });
            question.paths.extend(asked);
            question.more = question.more.take().or_else(|| list.more.clone());
        }
        Fact::Absent => {}
        Fact::Unobserved(reason) => question.more = question.more.take().or(Some(reason.clone())),
    }
}

/// The files that trusted clients have this daemon open.
fn files(question: &mut Question, daemon: &Looked, looks: &[Looked]) {
    let mut count = 0;
    // Where its trust is not known it is not asked, and the check that reads the trust says so.
    let is_heard = |client: &&Looked| trusts(&daemon.facts, &client.facts) == Fact::Present(true);
    for client in looks.iter().filter(|client| shares_socket(client, daemon) == Ok(true)).filter(is_heard) {
        let sent = client.facts.paths.files.present().into_iter().flat_map(|list| &list.items);
        for file in sent.filter(|file| file.level != "system") {
            count += 1;
            if count > MOST {
                let what = "the files that clients name".to_owned();
                question.more = question.more.take().or(Some(Reason::Truncated { at: MOST as u64, what }));
                return;
            }
            question.paths.insert(AskedPath { path: file.path.clone(), named_as: NamedAs::File });
        }
    }
}

/// What other containers took from their engine's machine at paths where this job works, if this job drives that engine and was there before them.
fn volumes(question: &mut Question, context: &Context, look: &Looked, engines: &BTreeMap<String, Named>) {
    let Some(own) = engines.get(&context.header.id) else { return };
    let sockets = look.facts.paths.sockets.present().into_iter().flat_map(|list| &list.items);
    let servers: Vec<_> = sockets.filter_map(|socket| socket.server.present()).collect();
    let workplaces = look.facts.paths.workplaces.present().map(Vec::as_slice).unwrap_or_default();
    let drives = |other: &Named| other.server.as_ref().is_some_and(|server| servers.contains(&server));
    // A container of the runner has what the runner's administrator gave it, and one that is older was not made by this job.
    let is_later = |other: &Named| other.created.zip(own.created).is_some_and(|(other, own)| other >= own);
    let mut count = 0;
    for (id, other) in engines {
        if other.id == own.id || other.is_of_a_runner() || !drives(other) || !is_later(other) {
            continue;
        }
        for (source, _) in other.binds.iter().filter(|(source, _)| workplaces.iter().any(|at| is_beneath(source, at))) {
            count += 1;
            if count > MOST {
                let what = "the volumes of containers".to_owned();
                question.more = question.more.take().or(Some(Reason::Truncated { at: MOST as u64, what }));
                return;
            }
            question.paths.insert(AskedPath { path: source.clone(), named_as: NamedAs::Volume(id.clone()) });
        }
    }
}

fn is_beneath(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_beneath;

    #[test]
    fn a_directory_is_beneath_another_by_whole_names_only() {
        assert!(is_beneath("/builds/x", "/builds/x") && is_beneath("/builds/x/y", "/builds/x/"));
        assert!(!is_beneath("/builds/xy", "/builds/x") && !is_beneath("/", "/builds"));
    }
}
