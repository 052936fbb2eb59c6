//! Tests of `parallax.toml`: what is read, what is refused and how that is shown, and whose file is trusted.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Author, Configuration, ConfigurationError, load_from, parse, schema};
use crate::check::Waiver;
use crate::probe::Account;

fn read(text: &str) -> Result<Configuration, ConfigurationError> {
    parse(Path::new("/etc/parallax/parallax.toml"), text, Author::Host)
}

/// The diagnostic as a reader sees it, without colours.
fn shown(text: &str) -> String {
    let error = read(text).expect_err("it is refused");
    let mut out = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
    handler.render_report(&mut out, &error).expect("it renders");
    out
}

const WAIVER: &str = "[[waive]]\ncheck = \"store/one-writer\"\nreason = \"known\"\n";

#[test]
fn everything_that_can_be_written_is_read() {
    let text = format!(
        r#"
tools = ["terraform"]
users = ["deploy"]
require = ["service:nix-daemon"]
context = ["container:web"]
deadline_ms = 30000
no_credentials = true
[[account]]
name = "cache"
endpoint = "https://S3.example/bucket"
[[endpoint]]
name = "store"
url = "https://store:9000"
certificate = "/etc/ssl/store.pem"
{WAIVER}until = 2027-01-31
contexts = ["user:deploy"]
subject = "db"
"#
    );
    let configuration = read(&text).expect("it is read");
    let waiver = Waiver {
        check: "store/one-writer".into(),
        contexts: vec!["user:deploy".into()],
        subject: Some("db".into()),
        reason: "known".into(),
        until: jiff::civil::date(2027, 1, 31),
        by: "/etc/parallax/parallax.toml".into(),
        line: 16,
    };
    assert_eq!(
        configuration,
        Configuration {
            author: Author::Host,
            note: "configuration: /etc/parallax/parallax.toml".into(),
            tools: vec!["terraform".into()],
            users: vec!["deploy".into()],
            require: vec!["service:nix-daemon".into()],
            context: vec!["container:web".into()],
            accounts: vec![Account { name: "cache".into(), endpoint: "https://s3.example:443".into() }],
            endpoints: vec![("store".into(), "https://store:9000/".into())],
            certificates: vec![("store".into(), "/etc/ssl/store.pem".into())],
            waivers: vec![waiver],
            deadline_ms: Some(30_000),
            no_credentials: true,
            checks: None,
        }
    );
}

#[test]
fn every_mistake_is_shown_with_its_place_and_what_to_write() {
    insta::assert_snapshot!("unknown_key", shown("users = []\ntolls = [\"a\"]\n"));
    insta::assert_snapshot!("unknown_key_in_a_waiver", shown(&format!("{WAIVER}untill = 2027-01-31\n")));
    insta::assert_snapshot!("no_reason", shown("[[waive]]\ncheck = \"a/b\"\nuntil = 2027-01-31\n"));
    insta::assert_snapshot!("blank_reason", shown("[[waive]]\ncheck = \"a/b\"\nreason = \" \"\nuntil = 2027-01-31\n"));
    let endpoint = "[[endpoint]]\nname = \"a\"\nurl = \"https://a.example\"\ncertificate";
    insta::assert_snapshot!("certificate_beside_the_file", shown(&format!("{endpoint} = \"a.pem\"\n")));
    let plain = endpoint.replace("https", "http");
    insta::assert_snapshot!("certificate_without_tls", shown(&format!("{plain} = \"/a.pem\"\n")));
    insta::assert_snapshot!("no_such_day", shown(&format!("{WAIVER}until = 2027-02-30\n")));
    insta::assert_snapshot!("day_in_quotes", shown(&format!("{WAIVER}until = \"2027-01-31\"\n")));
    insta::assert_snapshot!("day_with_time", shown(&format!("{WAIVER}until = 2027-01-31T00:00:00Z\n")));
    insta::assert_snapshot!("no_url", shown("[[endpoint]]\nname = \"a\"\nurl = \"store:9000\"\n"));
    insta::assert_snapshot!("url_with_password", shown("[[endpoint]]\nname = \"a\"\nurl = \"http://u:p@store\"\n"));
    insta::assert_snapshot!(
        "endpoint_of_two_accounts",
        shown(
            "[[account]]\nname=\"a\"\nendpoint=\"https://x\"\n[[account]]\nname=\"b\"\nendpoint=\"https://X:443/\"\n"
        )
    );
    insta::assert_snapshot!("deadline_of_nothing", shown("deadline_ms = 0\n"));
    insta::assert_snapshot!("no_toml", shown("tools = [\n"));
}

#[test]
fn a_password_in_the_file_is_in_no_diagnostic_that_shows_its_neighbourhood() {
    for line in ["tolls = 1", "[[waive]]"] {
        let shown = shown(&format!("{line}\n[[endpoint]]\nname = \"a\"\nurl = \"http://u:canary@store\"\n"));
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(!shown("[[endpoint]]\nname = \"a\"\nurl = \"http://u:canary@store\"\n").contains("canary"));
}

/// A host's place without a file, and a project's directory with one.
fn project(text: &str, mode: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("parallax.toml");
    std::fs::write(&file, text).expect("write");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("chmod");
    directory
}

#[test]
fn a_projects_file_that_others_may_write_is_not_used_and_it_is_said() {
    let directory = project("tools = [\"x\"]", 0o664);
    let configuration = load_from(None, Path::new("/nonexistent/parallax.toml"), directory.path()).expect("none");
    assert!(configuration.tools.is_empty());
    assert!(configuration.note.contains("is not used: the file can be written by others (mode 0664)"));
}

#[test]
fn a_projects_waivers_say_that_they_are_the_projects() {
    let directory = project(&format!("{WAIVER}until = 2027-01-31"), 0o644);
    std::fs::create_dir(directory.path().join("checks")).expect("mkdir");
    let configuration = load_from(None, Path::new("/nonexistent/parallax.toml"), directory.path()).expect("read");
    assert_eq!(configuration.author, Author::Project);
    assert!(configuration.waivers[0].by.ends_with("parallax.toml (project)"));
    assert_eq!(configuration.checks, Some(directory.path().join("checks")));
}

#[test]
fn the_hosts_file_leaves_the_projects_unread_even_where_that_is_wrong() {
    let (host, directory) = (project("tools = [\"host\"]", 0o644), project("nonsense", 0o644));
    let configuration = load_from(None, &host.path().join("parallax.toml"), directory.path()).expect("the host's");
    assert_eq!((configuration.author, configuration.tools), (Author::Host, vec!["host".to_owned()]));
}

#[test]
fn a_hosts_place_that_is_no_file_is_an_error_and_never_passed_over() {
    let (host, directory) = (tempfile::tempdir().expect("a directory"), project("", 0o644));
    let result = load_from(None, host.path(), directory.path());
    assert!(matches!(result, Err(ConfigurationError::NotRegular { .. })));
}

#[test]
fn a_file_that_is_asked_for_must_be_there_and_a_fifo_is_not_waited_for() {
    let directory = project("", 0o644);
    let (gone, pipe) = (directory.path().join("gone"), directory.path().join("pipe"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let load = |path: &Path| load_from(Some(path), Path::new("/nonexistent"), directory.path());
    assert!(matches!(load(&gone), Err(ConfigurationError::Unreadable { .. })));
    assert!(matches!(load(&pipe), Err(ConfigurationError::NotRegular { .. })));
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let directory = project(&"#".repeat((1 << 20) + 1), 0o644);
    let file = directory.path().join("parallax.toml");
    let result = load_from(Some(&file), Path::new("/nonexistent"), directory.path());
    assert!(matches!(result, Err(ConfigurationError::TooLong { .. })));
}

#[test]
fn without_any_file_the_built_in_lists_apply_and_it_is_said() {
    let empty = tempfile::tempdir().expect("a directory");
    let configuration = load_from(None, &empty.path().join("host.toml"), empty.path()).expect("nothing");
    assert_eq!(configuration.note, "no parallax.toml; the built-in lists apply");
}

#[test]
fn the_schema_knows_the_keys_that_the_reader_knows() {
    let schema = serde_json::to_value(schema()).expect("JSON");
    let keys: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(
        keys,
        ["account", "context", "deadline_ms", "endpoint", "no_credentials", "require", "tools", "users", "waive"]
    );
    assert_eq!(schema["additionalProperties"], false);
}
