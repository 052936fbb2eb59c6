//! A fake of GitLab: the part of its API that a runner needs to get one job, to write its log, to hand in its artifacts and to say how it
//! ended. No project, no pipeline, no rule of `.gitlab-ci.yml` is known here. Listens on the address of the default bridge, where the
//! runner reaches it from the host and its helper from a container.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Request, answer};
use crate::engine::gateway;

/// What the runner's configuration says that it is.
pub const RUNNER_TOKEN: &str = "glrt-parallax-world";
/// What the job's own requests carry.
pub const JOB_TOKEN: &str = "parallax-world-job-token";

/// A file that a job handed in.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// `archive`, `junit`, `codequality`, …
    pub kind: String,
    /// As it was uploaded: `gzip` for reports, `zip` for archives.
    pub format: String,
    pub bytes: Vec<u8>,
}

/// What became of a job.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// `success` or `failed`.
    pub state: String,
    /// Of the script, where it ended with one.
    pub exit_code: Option<i64>,
    /// Why it failed: `script_failure`, `runner_system_failure`, …
    pub reason: String,
    pub log: String,
    pub artifacts: Vec<Artifact>,
}

#[derive(Default)]
struct State {
    waiting: Option<Value>,
    jobs: BTreeMap<u64, Ended>,
    /// Requests that a coordinator should have answered and this one can't.
    unknown: Vec<String>,
}

/// The fake, until the tests end.
pub struct Coordinator {
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Coordinator {
    /// Listens, and answers in the background.
    pub fn start() -> Self {
        let listener = TcpListener::bind((gateway().as_str(), 0)).expect("a port on the default bridge");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    if let Some(request) = Request::read(&stream) {
                        let (status, headers, body) = respond(&shared, &request);
                        answer(&stream, status, &headers, &body);
                    }
                });
            }
        });
        Self { url, state }
    }

    /// Hands out this job to whoever asks next, and waits for its end.
    pub fn run(&self, job: Value, most: Duration) -> Ended {
        let id = job["id"].as_u64().expect("a job has an id");
        let (state, changed) = &*self.state;
        let mut state = state.lock().expect("the state");
        state.waiting = Some(job);
        let begun = Instant::now();
        loop {
            assert!(state.unknown.is_empty(), "requests that this fake does not know: {:?}", state.unknown);
            if let Some(job) = state.jobs.get(&id).filter(|job| !job.state.is_empty()) {
                return job.clone();
            }
            let log = state.jobs.get(&id).map(|job| job.log.clone());
            assert!(begun.elapsed() < most, "job {id} does not end; its log: {log:?}");
            state = changed.wait_timeout(state, Duration::from_millis(200)).expect("the state").0;
        }
    }
}

type Response = (&'static str, Vec<(&'static str, String)>, String);

fn respond(shared: &(Mutex<State>, Condvar), request: &Request) -> Response {
    let plain = |status, body: Value| (status, Vec::new(), body.to_string());
    let mut state = shared.0.lock().expect("the state");
    let path: Vec<&str> = request.path.trim_start_matches("/api/v4/").split('/').collect();
    let response = match (request.method.as_str(), path.as_slice()) {
        ("POST", ["jobs", "request"]) => {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            match state.waiting.take() {
                Some(_) if body["token"] != RUNNER_TOKEN => plain("403 Forbidden", json!({})),
                None => plain("204 No Content", json!({})),
                Some(job) => {
                    state.jobs.insert(job["id"].as_u64().expect("an id"), Ended::default());
                    plain("201 Created", job)
                }
            }
        }
        (method, ["jobs", id, rest @ ..]) => {
            let job = id.parse().ok().and_then(|id: u64| state.jobs.get_mut(&id));
            match job {
                Some(job) if request.header("job-token") == Some(JOB_TOKEN) => of_job(job, method, rest, request),
                _ => plain("403 Forbidden", json!({})),
            }
        }
        _ => plain("404 Not Found", json!({})),
    };
    if response.0.starts_with("404") {
        state.unknown.push(format!("{} {}", request.method, request.path));
    }
    shared.1.notify_all();
    response
}

fn of_job(job: &mut Ended, method: &str, path: &[&str], request: &Request) -> Response {
    match (method, path) {
        ("PUT", []) => {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            if let Some(state) = body["state"].as_str().filter(|state| *state != "running") {
                state.clone_into(&mut job.state);
                job.exit_code = body["exit_code"].as_i64();
                body["failure_reason"].as_str().unwrap_or_default().clone_into(&mut job.reason);
            }
            ("200 OK", vec![("Job-Status", "running".into())], "{}".into())
        }
        ("PATCH", ["trace"]) => {
            let range = request.header("content-range").and_then(|range| range.split('-').next());
            let from: usize = range.and_then(|from| from.parse().ok()).expect("a range");
            let fits = from == job.log.len();
            if fits {
                job.log.push_str(std::str::from_utf8(&request.body).expect("a log of whole characters"));
            }
            let status = if fits { "202 Accepted" } else { "416 Range Not Satisfiable" };
            (status, vec![("Job-Status", "running".into()), ("Range", format!("0-{}", job.log.len()))], "{}".into())
        }
        ("POST", ["artifacts"]) => {
            let text = |name: &str| request.parameter(name).unwrap_or_default().to_owned();
            let bytes = request.file().expect("a file").to_vec();
            job.artifacts.push(Artifact { kind: text("artifact_type"), format: text("artifact_format"), bytes });
            ("201 Created", Vec::new(), "{}".into())
        }
        _ => ("404 Not Found", Vec::new(), "{}".into()),
    }
}
