//! Who asks: the context of one process, looked from with its own environment, and what an engine says of the container that it is in.
//!
//! Nothing here goes by what the process says of itself, but the word for its role: an environment and a name are its own choice.

use super::Refused;
use super::containers::{self, Units};
use super::docker::Named;
use super::here::Here;
use super::names::{self, Names};
use super::pipeline::{PREFIX, Part};
use super::procfs::{self, Process};
use super::users::Accounts;
use crate::context::{Context, EnvironmentSource, RunnerPart};
use crate::snapshot::{ContextKind, Header};

/// A process, across the reuse of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Its pid in our own pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

/// The context of the process that asks.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Represented by that very process.
    pub context: Result<Context, Box<Refused>>,
    /// What an engine says of the container that it is in, where it is in one.
    pub engine: Option<Named>,
}

/// Finds it; none where the process is no more.
pub fn find(
    here: &Here<'_>,
    asker: Asker,
    processes: &[Process],
    units: &Units<'_>,
    names: &Names<'_>,
    accounts: &Accounts,
) -> Option<Asking> {
    let process =
        processes.iter().find(|process| process.pid == asker.pid && process.start_ticks == asker.start_ticks)?;
    let unit = units.iter().find(|(_, (members, _))| members.iter().any(|member| member.pid == asker.pid));
    let (mut header, standing) = match unit {
        Some((standing, (members, mounts))) => {
            let oldest = members.first()?;
            (names::unit_header(here, standing, oldest, mounts.as_deref().unwrap_or_default(), names), standing.clone())
        }
        None => (of_user(here, process, accounts), containers::standing(here, process)),
    };
    let engine = names.engine_of(&standing).cloned();
    let told = procfs::told(&[process]);
    if let (None, Some((_, job))) = (&header.role, told.job) {
        header.role = Some("job".to_owned());
        header.job = engine.is_none().then_some(job);
    }
    if let Some(role) = &header.role {
        header.id = format!("{}:{role}", header.kind.word());
        header.name.clone_from(role);
    }
    header.chain.push("it asks".to_owned());
    let of_process = here.header(header.kind, "", Some(process));
    (header.process, header.host_root) = (of_process.process, of_process.host_root);
    let mut context = here.context(header, process);
    if let Ok(context) = context.as_mut()
        && !told.overwritten.is_empty()
    {
        context.environment = EnvironmentSource::Overwritten;
    }
    if let Ok(context) = context.as_mut()
        && engine.as_ref().is_some_and(|named| named.part().is_some())
    {
        context.runner = RunnerPart::Made;
    }
    Some(Asking { context, engine })
}

fn of_user(here: &Here<'_>, process: &Process, accounts: &Accounts) -> Header {
    let uid = process.status.uids[1];
    let name = accounts.name_of(uid).map_or_else(|| format!("uid-{uid}"), str::to_owned);
    let mut header = here.header(ContextKind::User, &name, Some(process));
    header.user = Some(name);
    header
}

impl Named {
    /// Which part of a job it is, as the runner's labels say.
    pub fn part(&self) -> Option<Part> {
        Part::of_labels(&self.labels)
    }

    /// Whether a runner made it, in whatever role.
    pub fn is_of_a_runner(&self) -> bool {
        self.labels.keys().any(|label| label.starts_with(PREFIX))
    }

    /// Whether both are of one job: of one runner, by labels that the runner set. A job's number alone is another job's on another GitLab.
    pub fn is_of_the_job_of(&self, other: &Self) -> bool {
        let of = |named: &Self| named.part().and_then(|part| Some((part.job.id?, part.job.runner?, part.job.project?)));
        of(self).is_some_and(|job| of(other) == Some(job))
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    fn named(labels: &[(&str, &str)]) -> Named {
        let labels = labels.iter().map(|(key, value)| (format!("com.gitlab.gitlab-runner.{key}"), (*value).to_owned()));
        Named {
            id: "a".repeat(64),
            name: "n".into(),
            image: None,
            labels: labels.collect(),
            binds: Vec::new(),
            created: None,
            server: None,
            socket: String::new(),
        }
    }

    #[test]
    fn containers_are_of_one_job_by_runner_project_and_job_together() {
        let job = [("type", "build"), ("job.id", "7"), ("runner.id", "abc"), ("project.id", "3")];
        let helper = [("type", "predefined"), ("job.id", "7"), ("runner.id", "abc"), ("project.id", "3")];
        assert!(named(&job).is_of_the_job_of(&named(&helper)));
        for place in 1..4 {
            let mut other = helper;
            other[place].1 = "9";
            assert!(!named(&job).is_of_the_job_of(&named(&other)), "{other:?}");
        }
        // What is not known is not the same.
        assert!(!named(&job[..2]).is_of_the_job_of(&named(&helper[..2])));
        assert!(named(&helper[..1]).is_of_a_runner() && !named(&[]).is_of_a_runner());
    }
}
