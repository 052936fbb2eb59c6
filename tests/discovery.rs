//! Discovery on the machine that the tests run on, with real namespaces and, where an engine answers, real containers.
//! Needs root for most of it; says so where it is left out.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it expects, and says what it leaves out"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parallax::context::{Context, Discovered, EnvironmentSource, Invoker, Scope, discover};
use parallax::snapshot::ContextKind;

/// A process that is no child of ours, ended with the test.
struct Orphan(u32);

impl Orphan {
    /// Starts a command line that ends in a `sleep` and waits until it sleeps.
    fn start(command: &str) -> Self {
        let script = format!("{command} </dev/null >/dev/null 2>&1 & echo $!");
        let output = Command::new("sh").args(["-c", &script]).stderr(Stdio::inherit()).output().unwrap();
        let pid: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let begun = Instant::now();
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim() != "sleep" {
            assert!(begun.elapsed() < Duration::from_secs(5), "{command} does not sleep");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(pid)
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.0).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn scope(users: &[&str]) -> Scope {
    let invoker = Invoker { uid: rustix::process::getuid().as_raw(), name: None };
    Scope {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        invoker,
        docker_host: None,
        ..Scope::default()
    }
}

fn find(users: &[&str]) -> Discovered {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(discover(&scope(users)))
}

fn of_pid(found: &Discovered, pid: u32) -> Vec<&Context> {
    let is_of = |context: &&Context| context.process.as_ref().is_some_and(|process| process.pid == pid);
    found.contexts.iter().filter(is_of).collect()
}

fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("left out, for it takes root: {what}");
    }
    root
}

#[test]
fn the_host_and_its_own_users_are_there_and_every_id_is_unique() {
    let found = find(&["no-such-user"]);
    assert_eq!(found.contexts[0].header.id, "host");
    assert!(matches!(found.contexts[0].environment, EnvironmentSource::Own));
    assert!(found.notes.iter().any(|note| note.contains("no-such-user")));
    let headers = found.contexts.iter().map(|context| &context.header.id);
    let mut ids: Vec<&String> = headers.chain(found.refused.iter().map(|refused| &refused.header.id)).collect();
    assert!(ids.iter().any(|id| *id == "user:root"));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn namespaces_of_its_own_make_a_context_and_private_mounts_alone_do_not() {
    if !is_root("unsharing namespaces") {
        return;
    }
    let network = Orphan::start("unshare -n sleep 60");
    let users = Orphan::start("unshare -Urnm sleep 60");
    let mounts = Orphan::start("unshare -m sleep 60");
    let found = find(&[]);
    let [context] = of_pid(&found, network.0)[..] else { panic!("one context for a private network") };
    assert_eq!(context.header.kind, ContextKind::Container);
    assert!(context.take.join_network && !context.take.join_user);
    let [context] = of_pid(&found, users.0)[..] else { panic!("one context for private users") };
    assert!(context.take.join_network && context.take.join_user);
    assert_eq!((context.take.uid, context.take.gid), (0, 0));
    assert!(of_pid(&found, mounts.0).is_empty());
}

#[test]
fn a_user_without_a_process_has_the_groups_of_the_files_and_no_environment() {
    if !is_root("looking as another user") {
        return;
    }
    let found = find(&["news"]);
    let Some(context) = found.contexts.iter().find(|context| context.header.id == "user:news") else {
        panic!("this machine has no user news");
    };
    assert!(matches!(context.environment, EnvironmentSource::None));
    assert!(
        context.process.is_none() && context.take.effective == 0 && context.take.groups.contains(&context.take.gid)
    );
}

#[test]
fn a_user_with_a_process_is_looked_at_as_that_process_is() {
    if !is_root("starting a process of another user") {
        return;
    }
    let process = Orphan::start("setpriv --reuid games --regid games --groups 4,7 sleep 60");
    let found = find(&["games"]);
    if let [context] = of_pid(&found, process.0)[..] {
        assert_eq!(context.header.id, "user:games");
        assert_eq!(context.take.groups, [4, 7]);
        assert!(matches!(context.environment, EnvironmentSource::Process));
    } else {
        panic!("one context for the user");
    }
}

/// Containers of a test and their image, removed at its end.
struct Containers {
    names: Vec<String>,
    image: String,
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f"]).args(&self.names).stdout(Stdio::null()).status();
        docker(&["rmi", &self.image]);
    }
}

fn docker(arguments: &[&str]) -> bool {
    Command::new("docker")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

#[test]
fn containers_are_named_by_their_engine_and_jobs_are_seen_through_their_youngest_process() {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
    let (true, Some(busybox)) = (docker(&["info"]) && is_root("entering containers"), busybox) else {
        eprintln!("left out, for no engine answers or there is no static busybox");
        return;
    };
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("bin")).unwrap();
    std::fs::copy(busybox, tree.path().join("bin/busybox")).unwrap();
    for name in ["sh", "sleep"] {
        std::os::unix::fs::symlink("busybox", tree.path().join("bin").join(name)).unwrap();
    }
    let unique = std::process::id();
    let image = format!("parallax-discovery-test:{unique}");
    let import = format!("tar -C {} -c . | docker import - {image} >/dev/null", tree.path().display());
    assert!(Command::new("sh").args(["-c", &import]).status().unwrap().success());
    let (web, job) = (format!("parallax-web-{unique}"), format!("parallax-job-{unique}"));
    let _containers = Containers { names: vec![web.clone(), job.clone()], image: image.clone() };
    assert!(docker(&["run", "-d", "--name", &web, &image, "/bin/sleep", "60"]));
    assert!(docker(&["exec", "-d", "-u", "1000", &web, "/bin/sleep", "60"]));
    let label = "com.gitlab.gitlab-runner.type=build";
    let script = "CI_JOB_ID=7 /bin/sleep 60; true";
    let of_job = "com.gitlab.gitlab-runner.job.id=4711";
    assert!(docker(&[
        "run", "-d", "--name", &job, "--label", label, "--label", of_job, &image, "/bin/sh", "-c", script
    ]));
    std::thread::sleep(Duration::from_millis(500));
    let found = find(&[]);
    let by_id = |id: String| found.contexts.iter().filter(|context| context.header.id == id).collect::<Vec<_>>();
    assert_eq!(by_id(format!("container:{web}")).len(), 1);
    assert_eq!(by_id(format!("container:{web}/user-1000"))[0].take.uid, 1000);
    let jobs = by_id(format!("container:{job}"));
    assert_eq!((jobs[0].header.role.as_deref(), jobs[0].header.image.as_deref()), (Some("job"), Some(image.as_str())));
    let header = &jobs[0].header;
    assert!(header.name.starts_with("job"), "it is called after its role: {}", header.name);
    let id = header.job.as_ref().and_then(|job| job.id.as_deref());
    assert_eq!(id, Some("4711"), "the runner's label says which job it is, not the job's variable");
    let pid = jobs[0].process.as_ref().unwrap().pid;
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(
        words.starts_with("/bin/sleep"),
        "the shell exports CI_JOB_ID only to its child, and {words:?} represents the job"
    );
}
