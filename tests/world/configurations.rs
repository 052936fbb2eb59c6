//! The runner configurations of `docs/templates/runner`: a real runner takes each, its jobs run by it where this machine can make them, and
//! parallax finds nothing; with the line left out that makes it right, it does.

use crate::doctor::{Report, doctor};
use crate::gitlab::runner::Runner;
use crate::gitlab::template::Template;
use crate::image::CURL;
use crate::jobs::Served;
use crate::nix::NixDaemon;

/// What `doctor` says beside a runner with this configuration.
fn beside(runner: &Runner, configuration: &str, nix: &NixDaemon) -> Report {
    runner.configure(configuration);
    doctor(&["--offline"], &nix.environment())
}

/// The one line is what makes the check coherent.
fn assert_line(runner: &Runner, configuration: &str, nix: &NixDaemon, line: &str, check: &str) {
    let right = beside(runner, configuration, nix);
    assert_eq!(right.with_outcome("incoherent"), Vec::<String>::new());
    assert_eq!(right.row(check, &[])["outcome"], "coherent");
    assert_eq!(right.code, 0, "{:#?}", right.with_outcome("unknown"));
    assert!(configuration.contains(line), "{line}");
    let wrong = beside(runner, &configuration.replace(line, ""), nix);
    assert_eq!(wrong.row(check, &[])["outcome"], "incoherent");
    assert_eq!(wrong.code, 4, "{:#?}", wrong.with_outcome("incoherent"));
    // docs/pipelines.md shows what is said then, in lines of another length.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipelines.md"));
    let message = wrong.row(check, &[])["message"].as_str().expect("a message");
    assert!(words(page).contains(&words(message)), "docs/pipelines.md does not show: {message}");
}

pub fn the_runner_configurations_of_the_templates_are_coherent_and_each_by_its_own_line() {
    let runner = Runner::start();
    let nix = NixDaemon::start("");
    let served = Served::start(&[], &nix.environment());
    let run = format!("\"{}:/run/parallax:ro\"", served.directory.path().display());
    let run = ("\"/run/parallax:/run/parallax:ro\"", run.as_str());
    let job = Template::read("parallax.gitlab-ci.yml", "parallax");
    std::fs::create_dir_all(nix.path("var/profiles")).expect("mkdir");

    let paths = [
        ("\"/nix/store:", format!("\"{}:", nix.text("store"))),
        ("\"/nix/var/nix/daemon-socket:", format!("\"{}:", nix.text("var/daemon-socket"))),
        ("\"/nix/var/nix/profiles:", format!("\"{}:", nix.text("var/profiles"))),
    ];
    let mut replaced: Vec<(&str, &str)> = paths.iter().map(|(from, to)| (*from, to.as_str())).collect();
    replaced.push(run);
    let host_daemon = runner.template("host-daemon.toml", CURL, &replaced);
    assert_line(&runner, &host_daemon, &nix, "\"NIX_REMOTE=daemon\",", "runner/daemon-told");
    runner.configure(&host_daemon);
    let ended = runner.hand(job.job(2001, ""));
    assert_eq!(ended.state, "success", "{}", ended.log);

    let plain = runner.template("plain.toml", CURL, &[run]);
    let report = beside(&runner, &plain, &nix);
    assert_eq!((report.code, report.with_outcome("incoherent")), (0, Vec::new()));
    let ended = runner.hand(job.job(2002, ""));
    assert_eq!(ended.state, "success", "{}", ended.log);

    // A privileged job is not run: not every machine that runs the tests may make one.
    std::fs::write(nix.path("job.conf"), "experimental-features = nix-command flakes\nsandbox = true\n").expect("it");
    let conf = format!("\"{}:", nix.text("job.conf"));
    let sandbox = runner.template("sandbox.toml", CURL, &[run, ("\"/etc/gitlab-runner/nix.conf:", &conf)]);
    assert_line(&runner, &sandbox, &nix, "privileged = true", "runner/sandbox-privilege");
}
