//! `parallax doctor --job RUNNER`: makes the container that a runner would make for a job, so that it is looked at before a job runs into it.
//!
//! Finds the runner in the configuration that the running gitlab-runner uses, says on standard error what is created, and removes it whatever the look came to.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Failure;
use super::output::say;
use crate::context::throwaway::{Throwaway, ThrowawayError, Wanted};
use crate::formats::gitlab_runner::{self, Configuration, JobContainer, Runner};
use crate::formats::status;
use crate::sys::process::ProcessDirectory;

/// The longest `config.toml` that is read, in bytes.
const CAP: u64 = 4 << 20;
/// Where root's runner keeps it (`commands/config_unix.go`).
const DEFAULT: &str = "/etc/gitlab-runner/config.toml";

/// What the command line says of it.
pub(super) struct Asked<'a> {
    /// The runner's name or the public start of its token.
    pub(super) runner: &'a str,
    /// Its configuration file; else the one that is in use.
    pub(super) file: Option<&'a Path>,
    /// The image; else the runner's.
    pub(super) image: Option<&'a str>,
    pub(super) pull: bool,
    /// How long the run may take.
    pub(super) deadline: Duration,
}

/// A job's container, for as long as this lives.
pub(super) struct Job {
    container: Arc<Mutex<Option<Throwaway>>>,
    /// What a reader of the findings must know of it.
    pub(super) note: String,
}

impl Job {
    /// Makes it.
    pub(super) fn make(asked: &Asked<'_>) -> Result<Self, Failure> {
        let file = match asked.file {
            Some(file) => file.to_owned(),
            None => own(in_use())?,
        };
        let configuration = read(&file)?;
        let runner = chosen(&configuration, asked.runner, &file)?;
        let missing = |what: &str| Failure::Usage(format!("{}: the runner {} {what}", file.display(), asked.runner));
        let job = JobContainer::of(runner)
            .ok_or_else(|| missing(&format!("has the executor {:?}, which makes no container", runner.executor)))?;
        let image = asked.image.or(job.image).ok_or_else(|| missing("names no image; --image does"))?;
        let wanted = Wanted {
            image,
            short: &runner.short,
            server: runner.url.as_ref().map(|url| url.value.as_str()),
            pull: asked.pull,
            // Longer than the run: it must not end while it is looked at.
            lasts: asked.deadline + Duration::from_secs(60),
            job,
        };
        say(&format!(
            "making a container of {image}, as the runner {} of {} would for a job; it is removed afterwards",
            runner.short,
            file.display()
        ));
        let made = Arc::new(Mutex::new(None));
        remove_on_signal(Arc::clone(&made))?;
        let container = block_on(Throwaway::prepare(&wanted))?.map_err(failure)?;
        // From here on there may be something to remove, whatever happens.
        *held(&made) = Some(container.clone());
        let mut begun = Self { container: made, note: String::new() };
        block_on(container.begin(&wanted))?.map_err(failure)?;
        let network = if wanted.job.network_per_job { " in a network of its own" } else { "" };
        let note = format!(
            "the container {} was made for this run from {} as the runner {} declares it{network}; a job's own image and variables may differ",
            container.name,
            file.display(),
            runner.short
        );
        begun.note = note;
        Ok(begun)
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let container = held(&self.container).take();
        match container {
            Some(container) => block_on(container.remove())?.map_err(failure),
            None => Ok(()),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let container = held(&self.container).take();
        if let Some(container) = container
            && let Ok(Err(error)) = block_on(container.remove())
        {
            say(&error.to_string());
        }
    }
}

fn held(container: &Mutex<Option<Throwaway>>) -> MutexGuard<'_, Option<Throwaway>> {
    container.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever stops a run, by `Ctrl-C` or as a service manager does, finds nothing of it left.
fn remove_on_signal(container: Arc<Mutex<Option<Throwaway>>>) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::Broken(format!("signals can't be waited for: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let guard = runtime.enter();
    let mut interrupted = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(broken)?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
        });
        let made = held(&container).take();
        if let Some(made) = made {
            // It ends by itself soon, should this fail.
            let _ = runtime.block_on(made.remove());
        }
        // A signal that was waited for ends nobody any more, so this one does.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
    Ok(())
}

fn failure(error: ThrowawayError) -> Failure {
    match error {
        ThrowawayError::Itself(_) => Failure::Broken(error.to_string()),
        _ => Failure::Usage(error.to_string()),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::Broken(error.to_string()))?.block_on(future))
}

fn read(file: &Path) -> Result<Configuration, Failure> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{} could not be read: {error}", file.display()));
    // Looked at before it is opened too: opening a FIFO waits for whoever writes it.
    let is_file = std::fs::metadata(file).map_err(unreadable)?.is_file();
    let opened = is_file.then(|| std::fs::File::open(file)).transpose().map_err(unreadable)?;
    let Some(opened) = opened.filter(|opened| opened.metadata().is_ok_and(|metadata| metadata.is_file())) else {
        return Err(Failure::Usage(format!("{} is not a regular file", file.display())));
    };
    let mut text = zeroize::Zeroizing::new(Vec::new());
    opened.take(CAP).read_to_end(&mut text).map_err(unreadable)?;
    let configuration = gitlab_runner::parse(&text);
    match configuration.problems.first() {
        Some(problem) => Err(Failure::Usage(format!("{}: {problem}", file.display()))),
        None => Ok(configuration),
    }
}

fn chosen<'c>(configuration: &'c Configuration, wanted: &str, file: &Path) -> Result<&'c Runner, Failure> {
    let is = |runner: &&Runner| runner.short == wanted || runner.name == wanted;
    let mut matching = configuration.runners.iter().filter(is);
    match (matching.next(), matching.next()) {
        (Some(runner), None) => Ok(runner),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "{}: several runners are called {wanted}; name it by its token's start",
            file.display()
        ))),
        (None, _) => {
            let known = configuration.runners.iter().map(|runner| format!("{} ({})", runner.short, runner.name));
            let known = known.collect::<Vec<_>>().join(", ");
            let list = if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
            Err(Failure::Usage(format!("{}: no runner is called {wanted}; {list}", file.display())))
        }
    }
}

/// The file that root's running gitlab-runner was started with, else root's.
fn in_use() -> PathBuf {
    let pids = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(of_process).next().unwrap_or_else(|| DEFAULT.into())
}

/// The words of a process are anybody's to choose, and a path means another file below another root: only root's own process counts, of a program that
/// nobody else may change, on the host's own root.
fn of_process(pid: u32) -> Option<PathBuf> {
    let process = ProcessDirectory::open(pid).ok()?;
    let status = status::parse(&process.text("status").ok()?).ok()?;
    let is_roots = status.uids.iter().all(|uid| *uid == 0);
    let program = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    let named = process.link("exe").ok()?.ends_with("/gitlab-runner");
    let (theirs, ours) = (std::fs::metadata(format!("/proc/{pid}/root/")).ok()?, std::fs::metadata("/").ok()?);
    let same_root = (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino());
    let trusted = is_roots && named && same_root && is_roots_alone(&program);
    trusted.then(|| of_words(&process.text("cmdline").ok()?)).flatten()
}

fn is_roots_alone(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o022 == 0
}

/// A file that nobody named is obeyed only where it and its directory are root's alone: it says what root mounts.
fn own(file: PathBuf) -> Result<PathBuf, Failure> {
    for part in [Some(file.as_path()), file.parent()].into_iter().flatten() {
        let metadata = std::fs::metadata(part)
            .map_err(|error| Failure::Usage(format!("{} could not be read: {error}", part.display())))?;
        if !is_roots_alone(&metadata) {
            let why = "does not belong to root alone; name the file with --runner-config if you trust it";
            return Err(Failure::Usage(format!("{} {why}", part.display())));
        }
    }
    Ok(file)
}

/// The value of `--config` in the words of a `gitlab-runner run` (`commands/config_unix.go`).
fn of_words(text: &[u8]) -> Option<PathBuf> {
    let words: Vec<&str> = text.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let (program, rest) = words.split_first()?;
    if !program.ends_with("gitlab-runner") || rest.first().is_none_or(|word| *word != "run") {
        return None;
    }
    let mut following = rest.iter().skip(1);
    while let Some(word) = following.next() {
        let value = match word.trim_start_matches('-').split_once('=') {
            Some(("config" | "c", value)) => Some(value),
            None if matches!(*word, "--config" | "-config" | "-c") => following.next().copied(),
            _ => None,
        };
        if let Some(value) = value.filter(|value| value.starts_with('/')) {
            return Some(value.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::of_words;

    #[test]
    fn the_configuration_of_a_running_runner_stands_in_its_command_line() {
        let of = |words: &str| of_words(words.replace(' ', "\0").as_bytes()).map(|path| path.display().to_string());
        assert_eq!(of("/usr/bin/gitlab-runner run --config /srv/r/config.toml"), Some("/srv/r/config.toml".into()));
        assert_eq!(of("gitlab-runner run -c=/a/b --user ci"), Some("/a/b".into()));
        assert_eq!(of("gitlab-runner run --working-directory /home/ci"), None);
        assert_eq!(of("vim run --config /etc/passwd"), None);
    }
}
