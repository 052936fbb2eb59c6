//! Progress on stderr: nothing for a second, then a line that names what is still waited for. Silent where stderr is no terminal,
//! but for one plain line when a run takes long, so that a job's log shows where the time goes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::text;

/// How long a run stays silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is waited for.
pub(super) struct Progress {
    waiting: Vec<String>,
    started: Instant,
    bar: Option<ProgressBar>,
    said: bool,
}

impl Progress {
    /// Starts silent.
    pub(super) fn new(waiting: Vec<String>) -> Self {
        Self { waiting, started: Instant::now(), bar: None, said: false }
    }

    /// One is done.
    pub(super) fn done(&mut self, name: &str) {
        self.waiting.retain(|other| other != name);
        self.tick();
    }

    /// Called now and then.
    pub(super) fn tick(&mut self) {
        if self.started.elapsed() < PATIENCE || self.waiting.is_empty() {
            return;
        }
        let message = format!("waiting for {}", self.names());
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                    bar.set_style(style);
                }
                bar
            });
            bar.set_message(message);
            bar.tick();
        } else if !self.said {
            self.said = true;
            super::output::say(&message);
        }
    }

    fn names(&self) -> String {
        let shown: Vec<String> = self.waiting.iter().take(3).map(|name| text::short(name, 40)).collect();
        let more = self.waiting.len().saturating_sub(shown.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{rest}", shown.join(", "))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
