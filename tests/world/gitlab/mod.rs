//! What stands around a job: a fake of GitLab's API, a real GitLab Runner, and the reading of `.gitlab-ci.yml` that GitLab would do.

pub mod coordinator;
pub mod http;
pub mod runner;
pub mod template;
