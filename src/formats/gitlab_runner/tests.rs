//! The parser over files as people have them: of the seeds, with the runner's own keys, and broken in every way.

use secrecy::ExposeSecret;

use super::{JobContainer, parse};

const HOST_DAEMON: &str = r#"concurrent = 3
check_interval = 0

[session_server]
  session_timeout = 1800

[[runners]]
  name = "native"
  url = "https://gitlab.example.com"
  id = 7
  token = "glrt-AbCdEfGhIjKlMnOpQrSt"
  token_obtained_at = 2026-01-02T03:04:05Z
  token_expires_at = 0001-01-01T00:00:00Z
  executor = "docker"
  environment = ["NIX_REMOTE=daemon", "ENV=/etc/profile", "no equals sign", "A=b=c"]
  [runners.cache]
    Type = "s3"
    Shared = true
    [runners.cache.s3]
      ServerAddress = "127.0.0.1:9000"
      AccessKey = "RUNNERKEY"
      SecretKey = "s3cr3t"
      BucketName = "cache"
      Insecure = true
  [runners.docker]
    image = "nixpkgs/nix-flakes"
    privileged = false
    disable_cache = true
    pull_policy = ["if-not-present"]
    volumes = [
      "/nix/store:/nix/store:ro",
      "/nix/var/nix/daemon-socket:/nix/var/nix/daemon-socket:ro",
      "/cache",
    ]
    devices = ["/dev/kvm", "/dev/fuse:/dev/fuse:rw"]
    network_mode = "host"
    [runners.docker.tmpfs]
      "/tmp" = "rw"
    [[runners.docker.services]]
      name = "docker:dind"
      alias = "docker"
"#;

#[test]
fn the_host_daemon_s_runner_is_read_whole() {
    let file = parse(HOST_DAEMON.as_bytes());
    assert_eq!(file.problems, []);
    let runner = &file.runners[0];
    assert_eq!((runner.line, runner.short.as_str(), runner.executor.as_str()), (7, "AbCdEfGhI", "docker"));
    let names: Vec<&str> = runner.environment.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["NIX_REMOTE", "ENV", "A"]);
    assert_eq!(runner.environment[2].value.expose_secret(), "b=c");
    let s3 = runner.cache.as_ref().and_then(|cache| cache.s3.as_ref()).expect("a cache");
    assert_eq!((s3.url().as_deref(), s3.uses_its_keys()), (Some("http://127.0.0.1:9000"), true));
    let docker = runner.docker.as_ref().expect("docker");
    assert_eq!((docker.volumes[1].line, docker.volumes[1].read_only), (32, true));
    assert_eq!(docker.services[0].alias.as_deref(), Some("docker"));
    assert_eq!(runner.automatic_bundle().as_deref(), Some("certs/gitlab.example.com.crt"));
}

#[test]
fn the_container_of_a_job_is_what_the_runner_would_make() {
    let file = parse(HOST_DAEMON.as_bytes());
    let container = JobContainer::of(&file.runners[0]).expect("a container");
    assert_eq!(
        container.binds,
        ["/nix/store:/nix/store:ro", "/nix/var/nix/daemon-socket:/nix/var/nix/daemon-socket:ro"]
    );
    assert_eq!(container.managed, ["/cache", "/builds"]);
    assert_eq!((container.image, container.network_mode), (Some("nixpkgs/nix-flakes"), Some("host")));
    assert_eq!(
        (container.devices[0].permissions.as_str(), container.devices[1].container.as_str()),
        ("rwm", "/dev/fuse")
    );
    assert!(!container.privileged && container.user.is_none());
}

#[test]
fn another_executor_makes_no_container() {
    let file = parse(b"[[runners]]\nexecutor = \"shell\"\n[runners.docker]\nimage = \"x\"\n");
    assert!(JobContainer::of(&file.runners[0]).is_none());
}

#[test]
fn what_the_runner_does_not_know_is_passed_over_and_letter_case_is_too() {
    let file =
        parse(b"future = 1\n[[runners]]\nURL = \"http://a\"\nnew_key = [1]\n[runners.docker]\nPrivileged = true\n");
    assert_eq!(file.problems, []);
    let runner = &file.runners[0];
    assert_eq!(runner.url.as_ref().map(|url| url.line), Some(3));
    assert!(JobContainer::of(runner).is_none(), "no executor is set");
    assert!(runner.docker.as_ref().and_then(|docker| docker.privileged.as_ref()).is_some_and(|written| written.value));
}

#[test]
fn a_value_of_another_type_is_named_with_its_line_and_nothing_of_it_is_shown() {
    let text = "[[runners]]\ntoken = 5\nurl = \"u\"\n[runners.docker]\nprivileged = \"canary\"\nvolumes = [\n  \"/a:/b\",\n  \"canary\",\n  \"/c:/b\",\n]\nimage = [\"canary\"]\n";
    let problems = parse(text.as_bytes()).problems;
    let places: Vec<(u32, &str)> = problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(places, [(2, "token"), (5, "privileged"), (8, "volumes"), (9, "volumes"), (11, "image")]);
    assert!(!format!("{problems:?}").contains("canary"));
}

#[test]
fn a_file_that_is_no_toml_is_one_problem_with_its_line() {
    for (text, line) in [("a = 1\n[[runners]\n", 2), ("token = \"glrt-canary\nx\n", 1), ("\u{0}", 1)] {
        let file = parse(text.as_bytes());
        assert_eq!((file.problems.len(), file.problems[0].line), (1, line), "{text:?}");
        assert!(!format!("{:?}", file.problems).contains("canary"));
    }
    assert_eq!(parse(b"\xff").problems.len(), 1);
    assert!(parse(b"").problems.is_empty());
}

#[test]
fn keys_of_the_surroundings_sign_where_the_file_has_not_all_of_them() {
    let s3 = |lines: &str| {
        let file = parse(format!("[[runners]]\n[runners.cache.s3]\n{lines}").as_bytes());
        let s3 = file.runners[0].cache.as_ref().and_then(|cache| cache.s3.as_ref()).map(super::S3::uses_its_keys);
        s3.expect("a cache")
    };
    assert!(!s3("AccessKey = \"a\"\nSecretKey = \"b\"\n"));
    assert!(s3("AccessKey = \"a\"\nSecretKey = \"b\"\nServerAddress = \"c\"\n"));
    assert!(!s3("AccessKey = \"a\"\nSecretKey = \"b\"\nServerAddress = \"c\"\nAuthenticationType = \"iam\"\n"));
    assert!(s3("AuthenticationType = \"access-key\"\n"));
}

proptest::proptest! {
    #[test]
    fn every_text_has_an_answer(text in "\\PC{0,200}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        parse(text.as_bytes());
        parse(&bytes);
        let _ = super::Volume::parse(&text, 1);
        super::short(&text);
    }
}
