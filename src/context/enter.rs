//! Entering, seen from the parent: starts parallax again as a child per context, reads what it streams, and never waits for it beyond a deadline.
//!
//! A child below a dead FUSE server stays in an uninterruptible sleep even after `SIGKILL`, so a child that overruns is killed and
//! abandoned, never waited for; what it had told is kept, and one more child looks at the remaining families. The parent itself enters nothing.

mod beacon;
mod gathered;
mod protocol;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use crate::snapshot::Reason;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Facts;
use gathered::{Gathered, failed_probe};
use protocol::Outgoing;

pub use beacon::Beacon;
pub use protocol::{ARGUMENT, EnvironmentSource, Incoming, Record, Request, Resume};

/// The most that is read of the children of one context.
const CAP: u64 = 8 << 20;
/// How long a child that has said its last word is given to end by itself.
const LAST_STEPS: Duration = Duration::from_millis(200);

/// What was seen from one context.
#[derive(Debug)]
pub struct Looked {
    /// All families; what was not received is unobserved.
    pub facts: Facts,
    /// The endpoints that the context's configuration names.
    pub endpoints: Vec<NamedEndpoint>,
    /// What could not be taken on, in words.
    pub limits: Vec<String>,
    /// The families that were given up.
    pub unfinished: Vec<Unfinished>,
    /// Why the context was not entered; [`None`] when it was.
    pub refused: Option<Reason>,
    /// How long it took, waiting for a free place included, in milliseconds.
    pub took_ms: u64,
}

/// A family that was begun and given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub family: String,
    pub reason: Reason,
}

/// Starts children, a limited number at a time.
pub struct Entrance {
    executable: PathBuf,
    places: Semaphore,
}

/// How one child ended.
enum End {
    /// It looked at everything.
    Done,
    /// Nothing more can be had from this context.
    Over(Reason),
    /// This family is given up; another child may look at the rest.
    Stuck { family: String, reason: Reason },
}

impl Entrance {
    /// At most `at_once` children run at a time. Raises our soft limit of open files to the hard limit, once.
    pub fn new(at_once: usize) -> Self {
        raise_descriptor_limit();
        Self { executable: "/proc/self/exe".into(), places: Semaphore::new(at_once.max(1)) }
    }

    /// Starts another binary of parallax as the child, for callers that are not parallax themselves.
    #[must_use]
    pub fn with_executable(self, executable: impl Into<PathBuf>) -> Self {
        Self { executable: executable.into(), ..self }
    }

    /// Looks from one context. Returns by the deadline, whatever the children do, with what they had told by then.
    pub async fn look(&self, request: &Request, deadline: Instant) -> Looked {
        self.look_on(request, Resume::default(), deadline).await
    }

    /// Looks from one context at what `resume` does not know yet.
    pub async fn look_on(&self, request: &Request, resume: Resume, deadline: Instant) -> Looked {
        let begun = Instant::now();
        let mut gathered = Gathered { resume, ..Gathered::default() };
        match timeout_at(deadline, self.places.acquire()).await {
            Ok(Ok(_place)) => self.look_with_place(request, deadline, &mut gathered).await,
            Ok(Err(_)) | Err(_) => gathered.ended = Some(overrun(begun, "a free place among the children")),
        }
        gathered.finish(milliseconds(begun))
    }

    /// Every turn finishes or gives up one family at least, so that there are no more children than families.
    async fn look_with_place(&self, request: &Request, deadline: Instant, gathered: &mut Gathered) {
        loop {
            match self.child(request, deadline, gathered).await {
                End::Done => return,
                End::Over(reason) => {
                    gathered.ended = Some(reason);
                    return;
                }
                End::Stuck { family, reason } => {
                    if Instant::now() >= deadline {
                        gathered.ended = Some(reason.clone());
                    }
                    gathered.give_up(family, reason);
                    if gathered.ended.is_some() {
                        return;
                    }
                }
            }
        }
    }

    async fn child(&self, request: &Request, deadline: Instant, gathered: &mut Gathered) -> End {
        let (child, input, output) = match self.spawn() {
            Ok(spawned) => spawned,
            Err(end) => return end,
        };
        let mut conversation = Conversation::new(output, request, deadline);
        let end = match conversation.ask(input, request, gathered).await {
            Ok(()) => conversation.listen(gathered).await,
            Err(end) => end,
        };
        match end {
            Some(end) => {
                leave(child);
                end
            }
            None => conversation.early_end(child).await,
        }
    }

    /// Starts parallax again, with the ends of its pipes.
    fn spawn(&self) -> Result<(Child, ChildStdin, ChildStdout), End> {
        let spawned = Command::new(&self.executable)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child =
            spawned.map_err(|error| not_entered(format!("parallax could not start itself again ({error})")))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok((child, input, output)),
            _ => Err(not_entered("the child has no pipes".into())),
        }
    }
}

/// One child's side of the talk.
struct Conversation {
    lines: BufReader<tokio::io::Take<ChildStdout>>,
    /// When the step that the child is at must be over.
    step_ends: Instant,
    step_began: Instant,
    step: Duration,
    deadline: Instant,
    /// The family that it is at; [`None`] while it enters.
    family: Option<String>,
}

impl Conversation {
    fn new(output: ChildStdout, request: &Request, deadline: Instant) -> Self {
        let step = Duration::from_millis(request.probe_deadline_ms);
        let mut new = Self {
            lines: BufReader::new(output.take(CAP)),
            step_ends: deadline,
            step_began: Instant::now(),
            step,
            deadline,
            family: None,
        };
        new.begin(None);
        new
    }

    fn begin(&mut self, family: Option<String>) {
        self.family = family;
        self.step_began = Instant::now();
        self.step_ends = self.deadline.min(self.step_began + self.step);
    }

    /// Hands the request over; an error is the end, or [`None`] where the child ended before it had read everything.
    async fn ask(&mut self, mut input: ChildStdin, request: &Request, gathered: &Gathered) -> Result<(), Option<End>> {
        let outgoing = Outgoing { request, resume: &gathered.resume };
        let mut text = Zeroizing::new(Vec::with_capacity(256 * 1024));
        if let Err(error) = serde_json::to_writer(&mut *text, &outgoing) {
            return Err(Some(not_entered(format!("the request could not be written ({error})"))));
        }
        match timeout_at(self.step_ends, input.write_all(&text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(self.stuck())),
        }
    }

    /// Reads records until the child is done, fails or overruns; [`None`] when it ended without a last word.
    async fn listen(&mut self, gathered: &mut Gathered) -> Option<End> {
        loop {
            let mut line = Vec::new();
            match timeout_at(self.step_ends, self.lines.read_until(b'\n', &mut line)).await {
                Err(_) => return Some(self.stuck()),
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(_)) => {}
            }
            match serde_json::from_slice(&line) {
                Ok(Record::Entered { limits }) => {
                    gathered.entered = true;
                    gathered.limits = limits;
                }
                Ok(Record::Failed(reason)) => return Some(End::Over(reason)),
                Ok(Record::Begin(family)) => self.begin(Some(family)),
                Ok(Record::Family { name, facts }) => {
                    gathered.resume.known.insert(name, facts);
                    self.begin(None);
                }
                Ok(Record::Endpoints(endpoints)) => gathered.resume.endpoints = endpoints,
                Ok(Record::Done) => return Some(End::Done),
                // Who was asked to look does not stand.
                Ok(Record::Standing(_)) => return None,
                // A line that is cut off or foreign: whatever it was, the family did not arrive.
                Err(_) => return None,
            }
        }
    }

    fn stuck(&self) -> End {
        match &self.family {
            Some(family) => End::Stuck {
                family: family.clone(),
                reason: overrun(self.step_began, &format!("the probe of {family}")),
            },
            None => End::Over(overrun(self.step_began, "the child that enters the context")),
        }
    }

    /// The child ended, or said something that is no record, before it was done. Its own words are short and name no value: see the panic hook
    /// in `cli::look`.
    async fn early_end(self, mut child: Child) -> End {
        let mut words = Vec::new();
        if let Some(errors) = child.stderr.take() {
            // Whatever was said in time is enough.
            let _ = timeout(LAST_STEPS, errors.take(512).read_to_end(&mut words)).await;
        }
        let status = match timeout(LAST_STEPS, child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(_)) | Err(_) => "it was ended".to_owned(),
        };
        abandon(child);
        let words = String::from_utf8_lossy(&words).replace(char::is_control, " ");
        let detail = format!("the child ended early: {status} {}", words.trim());
        match self.family {
            Some(family) => {
                let reason = failed_probe(&family, detail.trim());
                End::Stuck { family, reason }
            }
            None => not_entered(detail.trim().to_owned()),
        }
    }
}

/// A child that has said its last word has nothing left to do, and taking down its namespaces takes the kernel longer than looking did: it is not
/// waited for either.
fn leave(child: Child) {
    abandon(child);
}

/// Kills without waiting. Tokio reaps it later, if it ever ends.
fn abandon(mut child: Child) {
    // It fails only for a child that has been reaped.
    let _ = child.start_kill();
}

fn not_entered(why: String) -> End {
    End::Over(Reason::NotEntered { why })
}

fn overrun(since: Instant, waiting_for: &str) -> Reason {
    Reason::TimedOut { after_ms: milliseconds(since), waiting_for: waiting_for.to_owned() }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Each child costs a handful of descriptors while it runs, and many run at a time (`getrlimit(2)`, `RLIMIT_NOFILE`).
fn raise_descriptor_limit() {
    static ONCE: Once = Once::new();
    // Where it is refused, fewer children run at a time: spawning then says so.
    ONCE.call_once(|| {
        let _ = crate::sys::descriptors::raise_limit();
    });
}
