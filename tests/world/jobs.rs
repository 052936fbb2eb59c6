//! The first job of a pipeline, as the templates in `docs/` have it, run by a real GitLab Runner: what is wrong with the host is in the JUnit
//! that the job hands in, and gone from it when the host is repaired.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::doctor::parallax;
use crate::engine::Background;
use crate::gitlab::coordinator::{Artifact, Ended};
use crate::gitlab::runner::{Configured, Runner};
use crate::gitlab::template::Template;
use crate::worlds::{self, Side, State, World};

/// `parallax serve` beside one side of a world, as a unit on the host would run it.
struct Served {
    directory: tempfile::TempDir,
    _process: Background,
}

impl Served {
    fn start(side: &Side) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-run-").tempdir_in("/var/tmp").expect("one");
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let socket = directory.path().join("parallax.sock");
        let mut command = parallax();
        command.arg("serve").arg("--socket").arg(&socket).args(&side.arguments);
        command.envs(side.variables.iter().map(|(name, value)| (*name, value.as_str())));
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let process = Background(command.stdin(Stdio::null()).stderr(log).spawn().expect("parallax serves"));
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "parallax serve: no socket");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { directory, _process: process }
    }
}

/// A case of a JUnit document: its class, its name, and what is in it, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    class: String,
    name: String,
    outcome: String,
}

fn unpacked(artifact: &Artifact) -> String {
    assert_eq!(artifact.format, "gzip");
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    gzip.stdin.take().expect("its input").write_all(&artifact.bytes).expect("written");
    let output = gzip.wait_with_output().expect("gzip");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The one JUnit report that the job handed in, as the one reader reads it.
fn junit(ended: &Ended) -> Vec<Case> {
    let reports: Vec<&Artifact> = ended.artifacts.iter().filter(|artifact| artifact.kind == "junit").collect();
    assert_eq!(reports.len(), 1, "one report of JUnit: {}", ended.log);
    let text = unpacked(reports[0]);
    let document = roxmltree::Document::parse(&text).expect("XML");
    let case = |node: roxmltree::Node| Case {
        class: node.attribute("classname").expect("a class").to_owned(),
        name: node.attribute("name").expect("a name").to_owned(),
        outcome: ["failure", "error", "skipped"]
            .into_iter()
            .find(|tag| node.children().any(|child| child.has_tag_name(*tag)))
            .unwrap_or("passed")
            .to_owned(),
    };
    let cases: Vec<Case> = document.descendants().filter(|node| node.has_tag_name("testcase")).map(case).collect();
    let _ = std::fs::write("/tmp/pl-last.xml", &text);
    cases
}

/// Runs the template's job on one side of a world.
fn run(runner: &Runner, template: &Template, world: &World, state: State) -> Ended {
    static NUMBER: AtomicU64 = AtomicU64::new(1000);
    let side = world.side(state);
    let served = Served::start(&side);
    let mut volumes = side.volumes.clone();
    volumes.push(format!("{}:/run/parallax:ro", served.directory.path().display()));
    let environment = side.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let configured = Configured { volumes, environment, user: side.user };
    let ended = runner.run(&configured, template.job(NUMBER.fetch_add(1, Ordering::Relaxed), world.job_image()));
    println!("{}", std::fs::read_to_string(served.directory.path().join("log")).unwrap_or_default());
    ended
}

/// The job fails with the world's finding on the broken side, and passes on the repaired one, where the same case is.
fn assert_twins(runner: &Runner, template: &Template, world: &World) {
    let broken = run(runner, template, world, State::Broken);
    println!("{} {:?} {}", broken.state, broken.exit_code, broken.log);
    let cases = junit(&broken);
    let class = world.check.replace('/', ".");
    let found: Vec<&Case> = cases
        .iter()
        .filter(|case| case.class == class && world.words.iter().all(|word| case.name.contains(word)))
        .collect();
    let of_the_check: Vec<&Case> = cases.iter().filter(|case| case.class == class).collect();
    assert_eq!(found.len(), 1, "{}: one case of {}: {of_the_check:#?}", world.name, world.check);
    assert_eq!(found[0].outcome, "failure", "{}: {:?}", world.name, found[0]);
    assert_eq!((broken.state.as_str(), broken.exit_code), ("failed", Some(1)), "{}: {}", world.name, broken.log);
    let repaired = run(runner, template, world, State::Repaired);
    println!("{} {:?} {}", repaired.state, repaired.exit_code, repaired.log);
    let cases = junit(&repaired);
    let twin: Vec<&Case> =
        cases.iter().filter(|case| (&case.class, &case.name) == (&found[0].class, &found[0].name)).collect();
    let bad: Vec<&Case> = cases.iter().filter(|case| case.outcome != "passed").collect();
    assert_eq!(twin.len(), 1, "{}: the same case: {bad:#?}", world.name);
    assert_eq!(twin[0].outcome, "passed", "{}: {:?}", world.name, twin[0]);
    assert_eq!((repaired.state.as_str(), repaired.exit_code), ("success", None), "{}: {:#?}", world.name, bad);
}

pub fn the_job_of_the_template_fails_with_what_is_wrong_and_passes_where_it_is_repaired() {
    let runner = Runner::start();
    let curl = Template::read("parallax.gitlab-ci.yml", "parallax");
    let binary = Template::read("parallax-any-image.gitlab-ci.yml", "parallax");
    let mut wrong = Vec::new();
    for world in worlds::OF_JOBS.map(|world| world()) {
        // The image of one world has nothing but a shell.
        let template = if world.name == "mounted-bash" { &binary } else { &curl };
        let begun = Instant::now();
        let twins = std::panic::AssertUnwindSafe(|| assert_twins(&runner, template, &world));
        if std::panic::catch_unwind(twins).is_err() {
            wrong.push(world.name);
        }
        println!("=== {} took {:?}", world.name, begun.elapsed());
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
