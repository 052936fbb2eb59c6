//! What `parallax serve` answers: looks from its caller's own context, compares it with the host's, and writes the report that this caller may read.
//!
//! Reads what the kernel and the container engine say of the caller, and what the caller gives of itself, which is believed where it concerns nobody
//! else and where the server itself could not see. Must not tell a caller of other contexts more than the host's configuration says, nor anything of
//! another job; every word of an answer passes the [`Disclosure`].

mod given;
mod question;
mod secrets;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::configuration::{Configuration, Disclose};
use super::evaluate::{self, Started, Told, Views};
use super::exit::{Exit, Failure};
use super::gather::{self, Asked as Seen, NotAsked};
use super::output;
use crate::check::{Disclosure, Level};
use crate::context::Asker;
use crate::context::discover::docker::Named;
use crate::probe::identity::machine;
use crate::report::{self, Style};
use crate::serve::{Answer, Answering, Asked, Caller, Method};
use crate::snapshot::Fact;
#[cfg(test)]
use crate::snapshot::Snapshot;
use crate::snapshot::secret::RunKey;
use crate::sys::Root;
use given::Given;
use question::Question;
use secrets::Comparisons;

/// parallax' application id for the names of what is withheld. Fixed for ever: a subject stays the same from run to run.
const APPLICATION: [u8; 16] =
    [0x3e, 0x90, 0x5b, 0x77, 0xd1, 0x04, 0x4c, 0x62, 0x8a, 0x5f, 0x1c, 0xe8, 0xb3, 0x76, 0x29, 0x4d];
/// What a caller is told where more is known than it may read.
const NOTES: &str =
    "what else there is to know of this host's views is withheld; `parallax doctor` on the host shows it";

/// Makes the answers of one server.
pub(super) struct Answers {
    configuration: Configuration,
    /// One for the life of the server: what was compared a minute ago must be known again. It never leaves this process and its children.
    key: Arc<RunKey>,
    naming: Vec<u8>,
    comparisons: Mutex<Comparisons>,
}

impl Answers {
    /// `configuration` is the host's: no caller has a say in it.
    pub(super) fn new(mut configuration: Configuration) -> Result<Self, Failure> {
        let root = Root::open("/").map_err(|error| Failure::Broken(error.to_string()))?;
        let naming = match machine::key(&root, APPLICATION) {
            Fact::Present(key) => key,
            // Names are then stable for as long as the server runs.
            Fact::Absent | Fact::Unobserved(_) => gather::random()?,
        };
        // Containers that no caller is compared with can't be missing.
        let named = &configuration.serve.contexts;
        let apart = |name: &String| name.starts_with("container:") || name.starts_with("build:");
        configuration.require.retain(|name| !apart(name) || named.contains(name));
        Ok(Self { configuration, key: gather::fresh_key()?, naming, comparisons: Mutex::default() })
    }

    async fn told(&self, caller: &Caller, asked: &Asked, deadline: Instant) -> Answer {
        // A question that is wrong is a mistake of usage; to who may not ask, nothing could be determined.
        let refused = |status: u16, sentence: String| {
            let exit = if status == 400 { Exit::Usage } else { Exit::Undetermined };
            Answer { exit: Some(exit.code()), ..Answer::sentence(status, sentence) }
        };
        let question = match Question::read(&asked.query) {
            Ok(question) => question,
            Err(sentence) => return refused(400, sentence),
        };
        let given = match asked.method {
            Method::Get => None,
            Method::Post => match Given::read(&asked.body) {
                Ok(given) => Some(given),
                Err(sentence) => return refused(400, sentence),
            },
        };
        let started = Started::now();
        let asker = Asker { pid: caller.pid, start_ticks: caller.start_ticks };
        let seen = match gather::asked(asker, caller.uid, &self.configuration, &self.key, deadline).await {
            Ok(seen) => seen,
            Err(NotAsked::Gone) => return refused(403, "the process that asks is no more".to_owned()),
            Err(NotAsked::Refused(why)) => return refused(403, why),
            Err(NotAsked::Failed(failure)) => return failed(&question, &failure),
        };
        // Thousands of rows take their time, and others wait to be accepted.
        tokio::task::block_in_place(|| match self.report(&started, &question, seen, &caller.class(), given) {
            Ok(answer) => answer,
            Err(failure) => failed(&question, &failure),
        })
    }

    fn report(
        &self,
        started: &Started,
        question: &Question,
        seen: Seen,
        class: &str,
        given: Option<Given>,
    ) -> Result<Answer, Failure> {
        let class = who(&seen, class);
        let Seen { mut snapshots, own, has_notes, .. } = seen;
        let level = match self.configuration.serve.disclose {
            Disclose::Verdict => Level::Verdict,
            Disclose::Public => Level::Public,
            Disclose::All => Level::All,
        };
        if let (Some(given), Some(mine)) = (given, snapshots.iter_mut().find(|one| one.context.id == own)) {
            given.fill(mine);
        }
        let disclosure = Disclosure::new(own.clone(), level, self.naming.clone());
        let hold = |judged: &mut crate::check::Judged<'_>| {
            let mut comparisons = self.comparisons.lock().unwrap_or_else(PoisonError::into_inner);
            comparisons.hold(&class, judged, std::time::Instant::now());
        };
        let views = Views {
            snapshots,
            widened: [self.configuration.serve.contexts.clone(), vec![own]].concat(),
            required: Vec::new(),
            notes: Vec::new(),
        };
        let told = Told { disclosure: &disclosure, hold: &hold };
        let mut run =
            evaluate::run_for(Some(&told), "check", started, views, &self.configuration, question.allow_unknown)?;
        if !disclosure.is_open() {
            let said = has_notes || !self.configuration.note.is_empty();
            run.notes = said.then(|| NOTES.to_owned()).into_iter().collect();
            let user = |name: &String| name.starts_with("user:") && name != "user:root";
            for name in run.missing.iter_mut().filter(|name| user(name)) {
                *name = format!("user:{}", disclosure.stand_in("user", name));
            }
        }
        let style = Style { verbose: question.verbose, ..Style::default() };
        Ok(Answer {
            status: 200,
            content_type: question.content_type(),
            exit: Some(Exit::from(run.verdict()).code()),
            body: report::render(question.format, &run, &style).into_bytes(),
        })
    }
}

impl Answering for Answers {
    async fn answer(&self, caller: &Caller, asked: Asked, deadline: Instant) -> Answer {
        self.told(caller, &asked, deadline).await
    }
}

/// Who is counted as one: the runner's jobs of one project, by the runner's own labels; else the class by its control group, whatever user or
/// namespace it takes on there.
fn who(seen: &Seen, class: &str) -> String {
    let part = seen.engine.as_ref().and_then(Named::part);
    match part.and_then(|part| Some((part.job.runner?, part.job.project?))) {
        Some((runner, project)) => format!("runner {runner} project {project}"),
        None => class.to_owned(),
    }
}

/// A report exists even where parallax failed. Why is for the host's people: the message names their files.
fn failed(question: &Question, failure: &Failure) -> Answer {
    output::say(&format!("an answer could not be made: {}", failure.message()));
    let told = match failure {
        Failure::Usage(_) => "the host's configuration or checks are wrong; the server's log says where",
        Failure::Broken(_) => "parallax failed on the host; the server's log says more",
    };
    Answer {
        status: 200,
        content_type: question.content_type(),
        exit: Some(failure.exit().code()),
        body: report::failed_run(question.format, told, "check").into_bytes(),
    }
}

/// The snapshot that a caller gave, for those who ask whether it is used at all.
#[cfg(test)]
fn filled(given: &[u8], mut own: Snapshot) -> Result<Snapshot, String> {
    Given::read(given)?.fill(&mut own);
    Ok(own)
}

#[cfg(test)]
mod tests;
