//! Jobs that ask `parallax serve`, by nothing but curl and a mounted socket: what they are told, and what they are not.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::canaries::{Nest, assert_clean, plant_home, variables};
use crate::doctor::parallax;
use crate::engine::Container;
use crate::image::CURL;
use crate::nix::NixDaemon;
use crate::user::User;

const JOB: &str = "parallax-world-job";
const SLEEP: &[&str] = &["sleep", "900"];
/// A value of the host's that is no secret and nothing for a job, wherever it stands.
const PRIVATE: &str = "privatevalue";

/// A server that runs until it is dropped.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Server {
    /// Serves with this configuration and these variables.
    fn start(configuration: &str, variables: &[(&str, String)]) -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let file = directory.path().join("parallax.toml");
        std::fs::write(&file, configuration).expect("a configuration");
        let socket = directory.path().join("run/parallax.sock");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let child = parallax()
            .args(["serve", "--no-binary", "--config"])
            .arg(&file)
            .arg("--socket")
            .arg(&socket)
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("parallax starts");
        let server = Self { child, directory };
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no socket: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The mount that a runner gives to its jobs.
    fn mount(&self) -> String {
        format!("{}:/run/parallax:ro", self.directory.path().join("run").display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a caller was told.
struct Told {
    exit: String,
    status: String,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The rows of a check.
    fn rows(&self, check: &str) -> Vec<Value> {
        let json = self.json();
        let findings = json["findings"].as_array().expect("findings").iter();
        findings.filter(|finding| finding["check"] == check).cloned().collect()
    }
}

/// Asks from inside of a container, with these variables in the environment of whoever asks.
fn ask(container: &Container, query: &str, variables: &[(&str, &str)]) -> Told {
    let pairs: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut command = Command::new("docker");
    command.arg("exec").args(pairs.iter().flat_map(|pair| ["-e", pair.as_str()])).arg(&container.name);
    command.args(["curl", "--silent", "--show-error", "--include", "--max-time", "60", "--unix-socket"]);
    let output = command
        .args(["/run/parallax/parallax.sock", &format!("http://localhost/v1/check{query}")])
        .output()
        .expect("docker runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| {
        panic!("an answer to {query}: {text} {}", String::from_utf8_lossy(&output.stderr));
    });
    let exit = head.lines().find_map(|line| line.strip_prefix("parallax-exit: ")).unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or_default();
    Told { exit: exit.to_owned(), status: status.to_owned(), body: body.to_owned() }
}

/// Labels as the docker executor gives them.
fn labels(role: &str, job: &str, project: &str) -> Vec<String> {
    let of = |name: &str, value: &str| format!("com.gitlab.gitlab-runner.{name}={value}");
    let labels = [
        of("type", role),
        of("job.id", job),
        of("project.id", project),
        of("runner.id", "wOrLdRuN1"),
        of("managed", "true"),
    ];
    labels.into_iter().flat_map(|label| ["--label".to_owned(), label]).collect()
}

fn run(name: &str, labels: &[String], options: &[&str]) -> Container {
    let all: Vec<&str> = labels.iter().map(String::as_str).chain(options.iter().copied()).collect();
    Container::run(name, &all, CURL, SLEEP)
}

pub fn a_job_without_parallax_is_told_what_is_wrong_between_it_and_the_host() {
    let nix = NixDaemon::start("");
    let server = Server::start("", &nix.environment());
    let mounts = [
        server.mount(),
        format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket")),
        format!("{}:/nix/store", nix.text("store")),
        format!("{}:/nix/var/nix/db", nix.text("var/db")),
    ];
    let options: Vec<&str> = mounts.iter().flat_map(|mount| ["-v", mount.as_str()]).collect();
    let labels = labels("build", "71", "3");
    let broken = {
        let job = run(JOB, &labels, &options);
        let junit = ask(&job, "?format=junit", &[]);
        assert_eq!((junit.status.as_str(), junit.exit.as_str()), ("200", "1"), "{}{}", junit.body, server.log());
        assert!(junit.body.contains("<failure") && junit.body.contains("store/one-writer"), "{}", junit.body);
        ask(&job, "", &[])
    };
    let rows = broken.rows("store/one-writer");
    let row = rows.iter().find(|row| row["outcome"] == "incoherent").expect("the incoherence is found");
    // The role and no container's name: the subject is the same in the next pipeline.
    assert_eq!(row["subject"], "job / service:nix-daemon");
    assert!(row["message"].as_str().expect("words").contains("job writes /nix/var/nix/db/db.sqlite itself"), "{row:#}");
    assert_eq!(broken.json()["job"]["id"], "71");
    let repaired = ask(&run(JOB, &labels, &options[..4]), "", &[("NIX_REMOTE", "daemon")]);
    let json = repaired.json();
    let open = json["findings"].as_array().expect("findings").iter();
    let open: Vec<&Value> = open
        .filter(|one| !["coherent", "not-applicable"].contains(&one["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(repaired.exit, "0", "{open:#?}");
    let rows = repaired.rows("store/one-writer");
    assert!(rows.iter().any(|row| row["subject"] == "job / service:nix-daemon" && row["outcome"] == "coherent"));
    let odd = ask(&run(JOB, &labels, &options[..2]), "?format=pdf", &[]);
    assert_eq!((odd.status.as_str(), odd.exit.as_str()), ("400", "2"));
    assert!(odd.body.contains("table, json, junit"), "{}", odd.body);
}

/// Whether there is a run of so many hexadecimal digits: a fingerprint, or the id of a container.
fn has_digest(text: &str) -> Option<&str> {
    let is_digit = |letter: char| letter.is_ascii_hexdigit();
    text.split(|letter: char| !is_digit(letter)).find(|run| run.len() >= 64)
}

/// Home, variables and settings of the host's people and of another job, with secrets and with values that are no job's business.
fn plant(home: &Path, nest: &mut Nest) {
    plant_home(home, nest);
    let write = |name: &str, content: String| std::fs::write(home.join(name), content).expect("a file");
    write(
        ".config/nix/nix.conf",
        format!("substituters = http://{PRIVATE}.parallax.invalid:8080/cache\naccess-tokens = x={}\n", nest.egg()),
    );
    write(
        ".aws/credentials",
        format!(
            "[default]\naws_access_key_id = AKIA{PRIVATE}\naws_secret_access_key = {}\n[{PRIVATE}]\nregion = x\n",
            nest.egg()
        ),
    );
}

pub fn no_caller_is_told_a_secret_another_job_or_what_is_not_public() {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let nest = &mut Nest(0);
    let (home, other_home) = (directory.path().join(format!("{PRIVATE}-home")), directory.path().join("other"));
    [&home, &other_home].iter().for_each(|home| std::fs::create_dir_all(home).expect("mkdir"));
    plant(&home, nest);
    plant(&other_home, nest);
    let user = User::add("privatevalue", &home);
    let nix = NixDaemon::start(&format!("substituters = http://{PRIVATE}.parallax.invalid:8080/cache\n"));
    let mut own = variables(nest);
    own.retain(|(name, _)| *name != "DOCKER_HOST");
    own.push(("AWS_PROFILE", PRIVATE.to_owned()));
    own.extend(nix.environment());
    let other_mount = format!("{}:/root", other_home.display());
    let secrets: Vec<String> = variables(nest).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut options = vec!["-v", other_mount.as_str()];
    options.extend(secrets.iter().flat_map(|pair| ["-e", pair.as_str()]));
    // Another job of the same project, a service of the same name, and a container that is nobody's: none is this caller's business.
    let _others = [
        run("parallax-world-otherjob", &labels("build", "72", "3"), &options),
        run("parallax-world-otherservice", &labels("service", "72", "3"), &options),
        run("parallax-world-bystander", &[], &options),
    ];
    let socket = format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket"));
    for level in ["verdict", "public", "all"] {
        let configuration = format!(
            "users = [\"{PRIVATE}\"]\n[serve]\ndisclose = \"{level}\"\ncontexts = [\"container:parallax-world-otherjob\"]\n"
        );
        let server = Server::start(&configuration, &own);
        let mount = server.mount();
        let job = run(JOB, &labels("build", "71", "3"), &["-v", &mount, "-v", &socket]);
        let helper = run("parallax-world-helper", &labels("predefined", "71", "3"), &["-v", &mount]);
        for format in ["table", "json", "junit", "markdown", "codequality"] {
            // What a job says of itself in its variables makes it no other job.
            let claims = [("CI_JOB_ID", "72"), ("CI_PROJECT_ID", "3"), ("CI_RUNNER_SHORT_TOKEN", "wOrLdRuN1")];
            let told = ask(&job, &format!("?format={format}&verbose&allow_unknown"), &claims);
            assert_eq!(told.status, "200", "{level} {format}: {}{}", told.body, server.log());
            let what = format!("{format} of {level}");
            assert_clean(&what, told.body.as_bytes());
            // GitLab's word for the digest of check and subject by which it knows an entry again.
            let lines = told.body.lines().filter(|line| format != "codequality" || !line.contains("\"fingerprint\":"));
            let without: Vec<&str> = lines.collect();
            assert_eq!(has_digest(&without.join("\n")), None, "{what}: {}", told.body);
            for name in ["otherjob", "otherservice", "bystander"] {
                assert!(!told.body.contains(name), "{what} names {name}: {}", told.body);
            }
            if level != "all" {
                assert!(!told.body.to_lowercase().contains(PRIVATE), "{what} tells a private value: {}", told.body);
                assert!(!told.body.contains("/var/tmp"), "{what} tells a path of the host: {}", told.body);
            }
            if format == "json" {
                let contexts = told.json()["contexts"].to_string();
                // Enough was looked at: the user whose values are planted, the daemon, and the helper of this very job.
                assert!(contexts.contains("service:nix-daemon") && contexts.contains("job/helper"), "{contexts}");
                assert_eq!(contexts.contains("user:privatevalue"), level == "all", "{contexts}");
                assert_eq!(contexts.contains("user:#"), level != "all", "{contexts}");
                assert_eq!(contexts.matches("\"container:").count(), 2, "{contexts}");
                assert_eq!(level == "all", told.body.contains(PRIVATE), "the values were seen");
            }
        }
        drop(helper);
        assert_clean("the server's log", server.log().as_bytes());
    }
    drop(user);
}

pub fn a_job_that_tries_one_secret_after_the_other_has_to_wait() {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let home = directory.path().join("home");
    std::fs::create_dir_all(home.join(".aws")).expect("mkdir");
    let key = "[default]\naws_access_key_id = AKIAWORLDSHARED\naws_secret_access_key = therightsecret\n";
    std::fs::write(home.join(".aws/credentials"), key).expect("a file");
    let _user = User::add("parallax-world", &home);
    let server = Server::start("users = [\"parallax-world\"]\n", &[]);
    let job = run(JOB, &labels("build", "71", "3"), &["-v", &server.mount()]);
    let again = run("parallax-world-again", &labels("build", "73", "3"), &["-v", &server.mount()]);
    let elsewhere = run("parallax-world-elsewhere", &labels("build", "74", "9"), &["-v", &server.mount()]);
    let guess = |container: &Container, secret: &str| {
        let variables = [("AWS_ACCESS_KEY_ID", "AKIAWORLDSHARED"), ("AWS_SECRET_ACCESS_KEY", secret)];
        let told = ask(container, "", &variables);
        let rows = told.rows("credentials/same-secret");
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert!(!told.body.contains("therightsecret") && has_digest(&told.body).is_none(), "{}", told.body);
        (
            rows[0]["outcome"].as_str().expect("a word").to_owned(),
            rows[0]["message"].as_str().expect("words").to_owned(),
        )
    };
    assert_eq!(guess(&job, "awrongsecret").0, "incoherent");
    let (outcome, message) = guess(&job, "therightsecret");
    assert_eq!(outcome, "unknown", "{message}");
    assert!(message.contains("ask again in"), "{message}");
    // The next job of the same project is no further try, and another project has its own.
    assert_eq!(guess(&again, "therightsecret").0, "unknown");
    assert_eq!(guess(&elsewhere, "therightsecret").0, "coherent");
    // What was compared may be compared again.
    assert_eq!(guess(&job, "awrongsecret").0, "incoherent");
}

pub fn a_caller_that_is_not_among_those_allowed_is_refused() {
    let server = Server::start("[serve]\nallow = [\"label:team=blue\"]\n", &[]);
    let mount = server.mount();
    let stranger = run(JOB, &labels("build", "71", "3"), &["-v", &mount]);
    // A label that it gives itself is none.
    let told = ask(&stranger, "", &[("team", "blue")]);
    assert_eq!((told.status.as_str(), told.exit.as_str()), ("403", "3"), "{}", told.body);
    assert!(told.body.contains("[serve] allow"), "{}", told.body);
    let friend = run("parallax-world-friend", &labels("build", "72", "3"), &["-v", &mount, "--label", "team=blue"]);
    assert_eq!(ask(&friend, "", &[]).status, "200");
}
