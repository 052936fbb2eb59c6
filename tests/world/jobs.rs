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
use crate::image::CURL;
use crate::worlds::{self, State, World};

/// `parallax serve` beside one side of a world, as a unit on the host would run it.
pub struct Served {
    pub directory: tempfile::TempDir,
    process: Background,
}

impl Served {
    /// Serves with these arguments and variables.
    pub fn start(arguments: &[String], variables: &[(&'static str, String)]) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-run-").tempdir_in("/var/tmp").expect("one");
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let socket = directory.path().join("parallax.sock");
        let mut command = parallax();
        command.arg("serve").arg("--socket").arg(&socket).args(arguments);
        command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let process = Background(command.stdin(Stdio::null()).stderr(log).spawn().expect("parallax serves"));
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "parallax serve: no socket");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { directory, process }
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
    assert_eq!(cases, second_reader(&text), "two readers read the same");
    cases
}

/// The same by Python's ElementTree and the rules of GitLab's own parser.
fn second_reader(text: &str) -> Vec<Case> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gitlab/junit.py");
    let mut python = Command::new("python3");
    let mut python = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    python.stdin.take().expect("its input").write_all(text.as_bytes()).expect("written");
    let output = python.wait_with_output().expect("python3");
    assert!(output.status.success(), "GitLab would read something else: {text}");
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let word = |case: &serde_json::Value, key: &str| case[key].as_str().expect("a word").to_owned();
    let case = |case: &serde_json::Value| Case {
        class: word(case, "class"),
        name: word(case, "name"),
        outcome: word(case, "status").replace("success", "passed"),
    };
    read["cases"].as_array().expect("cases").iter().map(case).collect()
}

/// Writes log and report of a job where a failed test can be looked into.
fn keep(name: &str, ended: &Ended) {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("jobs");
    let _ = std::fs::create_dir_all(&directory);
    let _ = std::fs::write(directory.join(format!("{name}.log")), &ended.log);
    for report in ended.artifacts.iter().filter(|artifact| artifact.format == "gzip") {
        let _ = std::fs::write(directory.join(format!("{name}.{}", report.kind)), unpacked(report));
    }
}

/// Runs the template's job on one side of a world.
fn run(runner: &Runner, template: &Template, world: &World, state: State) -> Ended {
    static NUMBER: AtomicU64 = AtomicU64::new(1000);
    let side = world.side(state);
    let mut served = Served::start(&side.arguments, &side.variables);
    let mut volumes = side.volumes.clone();
    volumes.push(format!("{}:/run/parallax:ro", served.directory.path().display()));
    let environment = side.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let configured = Configured { volumes, environment, user: side.user };
    let mut ended = runner.run(&configured, template.job(NUMBER.fetch_add(1, Ordering::Relaxed), world.job_image()));
    // What the server said, and whether it still is, belong to what a failed test is looked into with.
    let said = std::fs::read_to_string(served.directory.path().join("log")).expect("its log");
    ended.log += &format!("\nparallax serve ({:?}): {said}", served.process.0.try_wait());
    keep(&format!("{}-{}", world.name, if state == State::Broken { "broken" } else { "repaired" }), &ended);
    ended
}

/// The job fails with the world's finding on the broken side, and passes on the repaired one, where the same case is.
fn assert_twins(runner: &Runner, template: &Template, world: &World) {
    let broken = run(runner, template, world, State::Broken);
    let cases = junit(&broken);
    let class = world.check.replace('/', ".");
    let found: Vec<&Case> = cases
        .iter()
        .filter(|case| case.class == class && world.words.iter().all(|word| case.name.contains(word)))
        .filter(|case| case.outcome != "passed")
        .collect();
    let of_the_check: Vec<&Case> = cases.iter().filter(|case| case.class == class).collect();
    assert_eq!(found.len(), 1, "{}: one case of {}: {of_the_check:#?}", world.name, world.check);
    assert_eq!(found[0].outcome, "failure", "{}: {:?}", world.name, found[0]);
    assert!(!template.may_exit_with().contains(&1), "the pipeline does not go on");
    assert_eq!((broken.state.as_str(), broken.exit_code), ("failed", Some(1)), "{}: {}", world.name, broken.log);
    let repaired = run(runner, template, world, State::Repaired);
    let cases = junit(&repaired);
    let twin: Vec<&Case> =
        cases.iter().filter(|case| (&case.class, &case.name) == (&found[0].class, &found[0].name)).collect();
    let bad: Vec<&Case> = cases.iter().filter(|case| case.outcome != "passed").collect();
    assert_eq!(twin.len(), 1, "{}: the same case: {bad:#?}", world.name);
    assert_eq!(twin[0].outcome, "passed", "{}: {:?}", world.name, twin[0]);
    assert_eq!((repaired.state.as_str(), repaired.exit_code), ("success", None), "{}: {:#?}", world.name, bad);
}

/// Without a server the job ends as undetermined, and there is a report all the same.
fn assert_says_so_where_nobody_serves(runner: &Runner, template: &Template) {
    let ended = runner.run(&Configured::default(), template.job(999, CURL));
    assert_eq!((ended.state.as_str(), ended.exit_code), ("failed", Some(3)), "{}", ended.log);
    let outcomes: Vec<String> = junit(&ended).into_iter().map(|case| case.outcome).collect();
    assert_eq!(outcomes, ["error"]);
}

pub fn the_job_of_the_template_fails_with_what_is_wrong_and_passes_where_it_is_repaired() {
    let runner = Runner::start();
    let curl = Template::read("parallax.gitlab-ci.yml", "parallax");
    let binary = Template::read("parallax-any-image.gitlab-ci.yml", "parallax");
    let mut wrong = Vec::new();
    let mut twins = |template: &Template, world: World| {
        let twins = std::panic::AssertUnwindSafe(|| assert_twins(&runner, template, &world));
        if std::panic::catch_unwind(twins).is_err() {
            wrong.push(world.name);
        }
    };
    assert_says_so_where_nobody_serves(&runner, &curl);
    worlds::OF_CURL.into_iter().for_each(|world| twins(&curl, world()));
    // One by both ways, and one whose image has nothing but a shell.
    twins(&binary, worlds::one_writer());
    twins(&binary, worlds::bash_without_loader());
    assert!(wrong.is_empty(), "{wrong:?}; the runner: {}", runner.log());
}
