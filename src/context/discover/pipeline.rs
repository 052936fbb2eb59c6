//! Which part of a continuous-integration job something is: by the labels that GitLab Runner sets, or by the job's own variables where no engine
//! knows the container. And what such parts are called: after what they do, never after a container, so that a subject is the same in every run.
//!
//! Labels are the runner's word, an environment is the job's own. Both are held to the form that the runner gives them.

use std::collections::{BTreeMap, BTreeSet};

use super::names::tidy;
use crate::snapshot::PipelineJob;

/// The prefix of the runner's labels (`executors/docker/internal/labels/labels.go`).
const PREFIX: &str = "com.gitlab.gitlab-runner.";

/// One part of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `job`, `helper` or `service`.
    pub role: &'static str,
    /// For a service, what it is called.
    pub service: Option<String>,
    /// The job.
    pub job: PipelineJob,
    /// The runner's own number for the job, unique among those that it runs at a time (`runner.local_id`).
    pub slot: Option<String>,
}

impl Part {
    /// What the runner's labels say; none for a container that is none of the runner's, or only prepares a job.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |name: &str| labels.get(&format!("{PREFIX}{name}")).map(String::as_str);
        let role = match label("type")? {
            "build" => "job",
            "predefined" => "helper",
            "service" => "service",
            _ => return None,
        };
        let job = PipelineJob {
            id: label("job.id").and_then(number),
            runner: label("runner.id").and_then(short_token),
            project: label("project.id").and_then(number),
            pipeline: label("pipeline.id").and_then(number),
            commit: label("job.sha").and_then(commit),
        };
        // An image's slashes become dashes in the name by which jobs reach it (`executors/docker/services.go`).
        let service =
            (role == "service").then(|| label("service").map_or_else(String::new, |name| name.replace('/', "-")));
        Some(Self { role, service, job, slot: label("runner.local_id").and_then(number) })
    }

    /// A job that its own variables tell of.
    pub fn of_variables(job: PipelineJob, role: &'static str) -> Self {
        Self { role, service: None, job, slot: None }
    }

    /// Its names, the shortest first: a later one is taken where an earlier one would mean several.
    fn names(&self) -> Vec<String> {
        let base = match self.service.as_deref() {
            Some(service) if !service.is_empty() => format!("{}:{}", self.role, tidy(service)),
            _ => self.role.to_owned(),
        };
        let place: Vec<&str> =
            [&self.job.runner, &self.job.project].into_iter().filter_map(|part| part.as_deref()).collect();
        let mut names = vec![base.clone()];
        if !place.is_empty() {
            names.push(format!("{base}:{}", place.join("/")));
            names.extend(self.slot.iter().map(|slot| format!("{base}:{}/{slot}", place.join("/"))));
        }
        names
    }
}

/// The names of these parts, given oldest first: each the shortest that is its alone. `taken` are names of contexts that are no such parts.
pub fn names(parts: &[&Part], taken: &BTreeSet<String>) -> Vec<String> {
    let candidates: Vec<Vec<String>> = parts.iter().map(|part| part.names()).collect();
    let is_alone = |name: &String, level: usize, index: usize| {
        let others = candidates.iter().enumerate().filter(|(other, _)| *other != index);
        let clashes = others.filter_map(|(_, names)| names.get(level).or(names.last())).any(|other| other == name);
        !clashes && !taken.contains(name)
    };
    let mut used = taken.clone();
    let chosen = candidates.iter().enumerate().map(|(index, names)| {
        let alone = names.iter().enumerate().find(|(level, name)| is_alone(name, *level, index));
        let name = alone.map(|(_, name)| name).or(names.last()).cloned().unwrap_or_default();
        let mut unique = name.clone();
        let mut number = 1_u32;
        while !used.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}~{number}");
        }
        unique
    });
    chosen.collect()
}

/// The job that an environment tells of; none where it has neither of the two variables that GitLab gives to every job.
pub fn job_of_variables(variable: impl Fn(&str) -> Option<String>) -> Option<PipelineJob> {
    if variable("CI_JOB_ID").is_none() && variable("GITLAB_CI").is_none() {
        return None;
    }
    Some(PipelineJob {
        id: variable("CI_JOB_ID").as_deref().and_then(number),
        runner: variable("CI_RUNNER_SHORT_TOKEN").as_deref().and_then(short_token),
        project: variable("CI_PROJECT_ID").as_deref().and_then(number),
        pipeline: variable("CI_PIPELINE_ID").as_deref().and_then(number),
        commit: variable("CI_COMMIT_SHA").as_deref().and_then(commit),
    })
}

/// The same, of the NUL-separated text of `/proc/PID/environ`. Nothing else of it is kept.
pub fn job_of_environ(text: &[u8]) -> Option<PipelineJob> {
    let entry = |name: &str| {
        let mut entries = text.split(|byte| *byte == 0);
        entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    // A value that is no text is set all the same, and has none of the forms below.
    job_of_variables(|name| entry(name).map(|value| String::from_utf8_lossy(value).into_owned()))
}

fn number(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

/// Releases have given 8, 9 and 17 characters of it (`helpers/shorten_token.go`).
fn short_token(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (!text.is_empty() && text.len() <= 17 && text.bytes().all(plain)).then(|| text.to_owned())
}

fn commit(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Part, job_of_environ, names};
    use std::collections::{BTreeMap, BTreeSet};

    fn labelled(pairs: &[(&str, &str)]) -> Part {
        let labels: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| (format!("com.gitlab.gitlab-runner.{name}"), (*value).to_owned()))
            .collect();
        Part::of_labels(&labels).expect("a part")
    }

    fn job(runner: &str, project: &str, slot: &str) -> Part {
        labelled(&[("type", "build"), ("runner.id", runner), ("project.id", project), ("runner.local_id", slot)])
    }

    fn named(parts: &[Part], taken: &[&str]) -> Vec<String> {
        names(&parts.iter().collect::<Vec<_>>(), &taken.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
    }

    #[test]
    fn one_job_at_a_time_is_called_job_whatever_its_numbers_are() {
        assert_eq!(named(&[job("abc", "7", "0")], &[]), ["job"]);
        let helper = labelled(&[("type", "predefined"), ("runner.id", "abc"), ("project.id", "7")]);
        let service = labelled(&[("type", "service"), ("service", "library/postgres"), ("runner.id", "abc")]);
        assert_eq!(named(&[job("xyz", "9", "3"), helper, service], &[]), ["job", "helper", "service:library-postgres"]);
    }

    #[test]
    fn several_jobs_at_a_time_are_told_apart_by_what_is_the_same_in_the_next_run() {
        assert_eq!(named(&[job("abc", "7", "0"), job("abc", "8", "1")], &[]), ["job:abc/7", "job:abc/8"]);
        let three = [job("abc", "7", "0"), job("abc", "7", "1"), job("abc", "8", "2")];
        assert_eq!(named(&three, &[]), ["job:abc/7/0", "job:abc/7/1", "job:abc/8"]);
        assert_eq!(named(&[labelled(&[("type", "build")]), labelled(&[("type", "build")])], &[]), ["job", "job~2"]);
    }

    #[test]
    fn a_job_s_service_never_takes_the_name_of_a_service_of_the_host() {
        let service = labelled(&[("type", "service"), ("service", "nix-daemon"), ("runner.id", "abc")]);
        assert_eq!(named(&[service], &["service:nix-daemon"]), ["service:nix-daemon:abc"]);
    }

    #[test]
    fn labels_and_variables_that_have_another_form_than_the_runner_gives_them_are_not_kept() {
        let odd = labelled(&[("type", "build"), ("job.id", "1;reboot"), ("runner.id", "a b"), ("job.sha", "zz")]);
        assert_eq!(odd.job, crate::snapshot::PipelineJob::default());
        let job =
            job_of_environ(b"CI_JOB_ID=42\0CI_COMMIT_SHA=\xff\0CI_PROJECT_ID=7\0CI_JOB_TOKEN=s\0").expect("a job");
        assert_eq!((job.id.as_deref(), job.project.as_deref(), job.commit), (Some("42"), Some("7"), None));
        assert_eq!(job_of_environ(b"HOME=/root\0"), None);
    }
}
