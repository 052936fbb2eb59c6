//! What the Nix and store probes state, held against the real Nix of this machine: effective settings of generated configurations, and
//! the store that `nix store ping` opens in several worlds.
//!
//! Everything lives in temporary directories; the daemon is our own. Worlds need `nix`, `nix-daemon`, `setpriv`, `unshare`, and root. Where
//! one is missing, the test says that it was skipped, and fails where `CI` is set.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::use_debug,
    reason = "a test tells why it failed or was skipped"
)]

mod choices;
#[path = "nix_oracle/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use choices::Choices;
use parallax::formats::nix_conf::settings::{self, Default as Fallback, Kind};
use parallax::probe::environment::Environment;
use parallax::snapshot::facts::Nix;
use parallax::snapshot::{Fact, Reason};
use serde_json::Value;
use world::{AS_NOBODY, MARK, NOBODY, RunningDaemon, World, can_run, view};

/// As the probe writes values: tokens joined by blanks.
fn joined(value: &Value) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            Some(items.iter().map(|item| item.as_str().unwrap_or("?")).collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// Every setting that the probe states is what Nix prints, and the typed facts too where nothing sets them.
fn agree(nix: &Nix, oracle: &BTreeMap<String, Value>, seed: u64) -> usize {
    let settings = nix.settings.present().expect("settings");
    assert_eq!(settings.more, None, "seed {seed}");
    let mut compared = 0;
    for setting in &settings.items {
        let (Some(value), Some(oracle)) = (setting.value.present(), oracle.get(&setting.name)) else { continue };
        // 2.8 writes features as numbers there; `same_features` compares them. The others Nix itself turns down where no network interface but
        // `lo` is up (`src/nix/main.cc`, haveInternet), whatever the configuration says.
        let of_its_own = ["experimental-features", "tarball-ttl", "substitute", "download-attempts", "connect-timeout"];
        if of_its_own.contains(&setting.name.as_str()) {
            continue;
        }
        if let Some(expected) = joined(&oracle["value"]) {
            assert_eq!(*value, expected, "seed {seed}: {} {:?}", setting.name, setting.origins);
            compared += 1;
        }
    }
    let list = |name: &str| Fact::Present(strings(&oracle[name]["value"]));
    let text = |name: &str| joined(&oracle[name]["value"]).into();
    assert_eq!(nix.substituters, list("substituters"), "seed {seed}");
    assert_eq!(nix.trusted_public_keys, list("trusted-public-keys"), "seed {seed}");
    assert_eq!(nix.trusted_substituters, list("trusted-substituters"), "seed {seed}");
    assert_eq!(nix.trusted_users, list("trusted-users"), "seed {seed}");
    assert_eq!(nix.allowed_users, list("allowed-users"), "seed {seed}");
    assert_eq!(nix.netrc_file, text("netrc-file"), "seed {seed}");
    assert_eq!(nix.sandbox, text("sandbox"), "seed {seed}");
    assert_eq!(nix.require_sigs.as_ref().map(ToString::to_string), text("require-sigs"), "seed {seed}");
    if let Fact::Present(features) = &nix.system_features {
        assert_eq!(*features, strings(&oracle["system-features"]["value"]), "seed {seed}");
    }
    compared + 8
}

/// Features as the plain listing has them, but for the one that the oracle's command line adds.
fn same_features(world: &World, nix: &Nix, seed: u64) {
    let arguments = ["--extra-experimental-features", "nix-command", "show-config"];
    let output = world.command("nix").args(arguments).output().expect("nix runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("experimental-features = ")).expect("the setting");
    let mut features: BTreeSet<_> = nix.experimental_features.present().expect("features").iter().cloned().collect();
    features.insert("nix-command".to_owned());
    assert_eq!(features, line.split(' ').map(str::to_owned).collect(), "seed {seed}");
}

/// Writes one configuration over several files. Names and kinds are those of the oracle.
fn generate(choices: &mut Choices, world: &mut World, names: &[(String, Value, Vec<String>)]) {
    let system = text_of_file(choices, names, true);
    world.write("conf/nix.conf", &system);
    world.write("conf/part.conf", &text_of_file(choices, names, false));
    world.write("conf/inner.conf", &text_of_file(choices, names, false));
    if choices.chance(70) {
        world.write("home/.config/nix/nix.conf", &text_of_file(choices, names, false));
    }
    if choices.chance(50) {
        world.write("xdg/nix/nix.conf", &text_of_file(choices, names, false));
    }
    if choices.chance(30) {
        let second = world.text("conf/inner.conf");
        let list = format!("{}:{second}", world.text("xdg/nix/nix.conf"));
        world.set("NIX_USER_CONF_FILES", choices.one(&["", &second, &list]));
    }
    if choices.chance(30) {
        let home = choices.one(&["home/.config", "xdg", "nowhere"]);
        world.set("XDG_CONFIG_HOME", &world.text(home));
    }
    if choices.chance(50) {
        world.set("NIX_CONFIG", &text_of_file(choices, names, false));
    }
}

fn text_of_file(choices: &mut Choices, names: &[(String, Value, Vec<String>)], with_includes: bool) -> String {
    let mut text = String::new();
    for _ in 0..choices.below(12) {
        if with_includes && choices.chance(15) {
            text.push_str(choices.one(&[
                "include part.conf\n",
                "!include nowhere.conf\n",
                "include ./inner.conf # x\n",
            ]));
            continue;
        }
        text.push_str(&line(choices, names));
    }
    // Few, so that most configurations are good ones.
    if choices.chance(4) {
        let bad = ["cores=3\n", "cores\n", "fallback = on\n", "sandbox = yes\n", "include a b\n", "cores = many\n"];
        text.push_str(choices.one(&bad));
    }
    text
}

fn line(choices: &mut Choices, names: &[(String, Value, Vec<String>)]) -> String {
    const SOUGHT: [&str; 8] = [
        "substituters",
        "trusted-public-keys",
        "trusted-users",
        "allowed-users",
        "netrc-file",
        "trusted-substituters",
        "sandbox",
        "experimental-features",
    ];
    let sought = choices.one(&SOUGHT);
    let (name, value, aliases) = match choices.chance(60) {
        true => names.iter().find(|(name, _, _)| name == sought).expect("known to every Nix"),
        false => &names[choices.below(names.len())],
    };
    let mut written = name.clone();
    if !aliases.is_empty() && choices.chance(30) {
        written.clone_from(&aliases[choices.below(aliases.len())]);
    }
    if choices.chance(if value.is_array() { 40 } else { 3 }) {
        written = format!("extra-{written}");
    }
    if choices.chance(3) {
        written = choices.one(&["no-such-setting", "Substituters", "extra-", "extra-extra-substituters"]).to_owned();
    }
    let blank = choices.one(&[" ", "  ", "\t", " \t "]);
    let value = value_for(choices, name, value, blank);
    let front = choices.one(&["", "", " ", "\t"]);
    let end = choices.one(&["\n", "\n", "\r\n", " # b = c\n", "#\n", "\n\n", "\n # d\n"]);
    format!("{front}{written}{blank}={blank}{value}{end}")
}

fn value_for(choices: &mut Choices, name: &str, like: &Value, blank: &str) -> String {
    let words: &[&str] = match name {
        "experimental-features" => &["flakes", "ca-derivations", "nix-command", "recursive-nix"],
        "trusted-users" | "allowed-users" => &["root", "@wheel", "*", "ci", "1000"],
        "substituters" | "trusted-substituters" => &["https://a.example", "https://b.example/x?priority=3", "s3://c"],
        "sandbox" => return choices.one(&["true", "false", "relaxed"]).to_owned(),
        _ => &["/a/b", "x=y", "w", "a-1:k+/=", "x/../z"],
    };
    match like {
        Value::Bool(_) => choices.one(&["true", "false", "yes", "no", "1", "0"]).to_owned(),
        Value::Number(_) => choices.below(4000).to_string(),
        Value::Array(_) => (0..choices.below(4)).map(|_| choices.one(words)).collect::<Vec<_>>().join(blank),
        _ => choices.one(&["/a/b", "/c/d"]).to_owned(),
    }
}

/// What may be generated: not what loads code, what holds tokens, or what the command itself sets (`pure-eval`).
fn generated_names(oracle: &BTreeMap<String, Value>) -> Vec<(String, Value, Vec<String>)> {
    const LEFT_OUT: [&str; 5] = ["plugin-files", "nix-path", "access-tokens", "system", "pure-eval"];
    oracle
        .iter()
        .filter(|(name, setting)| !LEFT_OUT.contains(&name.as_str()) && !setting["value"].is_object())
        .map(|(name, setting)| (name.clone(), setting["value"].clone(), strings(&setting["aliases"])))
        .collect()
}

#[test]
fn settings_are_those_of_nix_in_generated_configurations() {
    if !can_run("settings_are_those_of_nix_in_generated_configurations", &["nix"]) {
        return;
    }
    let names = generated_names(&World::new().settings_of_nix().0.expect("settings"));
    let (mut accepted, mut refused, mut compared) = (0, 0, 0);
    for seed in 1..=150 {
        let mut world = World::new();
        generate(&mut Choices(seed * 0x9E37_79B9), &mut world, &names);
        let (oracle, said) = world.settings_of_nix();
        let (nix, _) = view(world.environment());
        let problems = nix.problems.present().expect("problems");
        let fatal = problems.items.iter().find(|problem| problem.fatal);
        assert_eq!(oracle.is_none(), fatal.is_some(), "seed {seed}: {fatal:?}, Nix said {said}");
        let Some(oracle) = oracle else {
            refused += 1;
            assert!(matches!(nix.substituters, Fact::Unobserved(Reason::Malformed { .. })), "seed {seed}");
            continue;
        };
        accepted += 1;
        compared += agree(&nix, &oracle, seed);
        same_features(&world, &nix, seed);
        let unknown = |text: &str, quote: char| {
            let mut names: Vec<_> = text.lines().filter(|line| line.contains("unknown setting")).collect();
            names.sort_unstable();
            names.dedup();
            names.iter().filter_map(|line| line.split(quote).nth(1).map(str::to_owned)).collect::<BTreeSet<_>>()
        };
        let ours = problems.items.iter().map(|problem| format!("{}\n", problem.detail)).collect::<String>();
        assert_eq!(unknown(&ours, '`'), unknown(&said, '\''), "seed {seed}");
    }
    eprintln!("{accepted} configurations accepted, {refused} refused, {compared} values compared");
    assert!(accepted >= 100 && refused >= 5 && compared > 1000, "{accepted} {refused} {compared}");
}

#[test]
fn the_table_of_settings_agrees_with_nix() {
    if !can_run("the_table_of_settings_agrees_with_nix", &["nix"]) {
        return;
    }
    let world = World::new();
    for (name, setting) in world.settings_of_nix().0.expect("settings") {
        let known = settings::lookup(&name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(known.name == name || known.aliases.contains(&name.as_str()), "{name}");
        for alias in strings(&setting["aliases"]) {
            assert!(settings::lookup(&alias).is_some_and(|other| other.name == known.name), "{alias}");
        }
        let expected = match (&setting["value"], name.as_str()) {
            (_, "sandbox") => matches!(known.kind, Kind::Text),
            (Value::Bool(_), _) => matches!(known.kind, Kind::Boolean),
            (Value::Number(_), _) => matches!(known.kind, Kind::Integer),
            (Value::Array(_), _) => matches!(known.kind, Kind::List | Kind::Set),
            (Value::Object(_), _) => matches!(known.kind, Kind::Map),
            _ => matches!(known.kind, Kind::Text),
        };
        assert!(expected, "{name} is no {:?}", known.kind);
        if let Fallback::Known(tokens) = known.default {
            assert_eq!(joined(&setting["defaultValue"]), Some(tokens.join(" ")), "{name}");
        }
    }
}

#[test]
fn a_file_that_this_identity_may_not_read_is_ignored_by_both() {
    if !can_run("a_file_that_this_identity_may_not_read_is_ignored_by_both", &["nix", "setpriv"]) {
        return;
    }
    let world = World::new();
    world.write("conf/nix.conf", "substituters = https://hidden.example\n");
    std::fs::set_permissions(world.path("conf/nix.conf"), std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let (nix, _) = world.view_of_child(&AS_NOBODY);
    assert_eq!(nix.substituters, Fact::Present(vec!["https://cache.nixos.org/".to_owned()]));
    let file = &nix.files.present().expect("files").items[0];
    assert_eq!((&file.exists, &file.readable), (&Fact::Present(true), &Fact::Present(false)));
    let mut oracle = world.command(AS_NOBODY[0]);
    let arguments = ["nix", "--extra-experimental-features", "nix-command", "show-config"];
    let output = oracle.args(&AS_NOBODY[1..]).args(arguments).output().expect("nix runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("substituters = https://cache.nixos.org/\n"), "{printed}");
}

#[test]
fn a_home_that_belongs_to_another_user_is_read_by_both_or_by_neither() {
    if !can_run("a_home_that_belongs_to_another_user_is_read_by_both_or_by_neither", &["nix", "setpriv"]) {
        return;
    }
    let world = World::new();
    world.write("home/.config/nix/nix.conf", "cores = 77\n");
    let arguments = ["nix", "--extra-experimental-features", "nix-command", "show-config"];
    for through in [&["env"][..], &AS_NOBODY[..]] {
        let (nix, _) = world.view_of_child(through);
        let ours = nix.settings.present().expect("settings");
        assert_eq!(ours.more, None);
        let ours = ours.items.iter().any(|setting| setting.name == "cores");
        let printed = String::from_utf8_lossy(&world.through(through, &arguments).stdout).into_owned();
        assert_eq!(ours, printed.contains("cores = 77\n"), "{through:?}");
    }
}

/// Prints the view of the process and environment that another test gave it.
#[test]
#[ignore = "the other tests run it as another user and in other namespaces"]
fn print_the_view_of_this_process() {
    let environ = std::fs::read("/proc/self/environ").expect("our environment");
    let view = view(Environment::parse(&environ));
    println!("\n{MARK}{}", serde_json::to_string(&view).expect("json"));
}

const PROGRAMS: [&str; 4] = ["nix", "nix-daemon", "setpriv", "unshare"];

#[test]
fn root_gets_the_local_store_beside_a_running_daemon_unless_told_otherwise() {
    if !can_run("root_gets_the_local_store_beside_a_running_daemon_unless_told_otherwise", &PROGRAMS) {
        return;
    }
    let mut world = World::new();
    let daemon = world.daemon();
    let store = world.same_store(&["env"], "local");
    assert_eq!(store.chosen.kind, Fact::Present("local".to_owned()));
    assert_eq!(store.chosen.origin, Fact::Present("default".to_owned()));
    assert_eq!(store.used, Fact::Present(true));
    assert_eq!(store.daemon.answers, Fact::Present(true));
    assert_eq!(store.daemon.version, store.client.version);
    assert_eq!(store.daemon.trust, Fact::Absent);
    assert_eq!(store.database.schema, Fact::Present(10));
    assert_eq!(store.database.journal, Fact::Present("wal".to_owned()));
    let server = store.daemon.server.present().expect("a server");
    assert!(server.as_str().contains(&format!(":process:{}:", daemon.0.id())), "{server}");
    world.set("NIX_REMOTE", "daemon");
    let store = world.same_store(&["env"], "daemon");
    assert_eq!(store.chosen.origin, Fact::Present("NIX_REMOTE".to_owned()));
    world.set("NIX_REMOTE", "");
    world.same_store(&["env"], "local");
    let socket = format!("unix://{}", world.text("state/daemon-socket/socket"));
    world.set("NIX_REMOTE", &socket);
    assert_eq!(world.same_store(&["env"], &socket).chosen.kind, Fact::Present("daemon".to_owned()));
}

#[test]
fn a_user_and_a_read_only_state_directory_get_the_daemon() {
    if !can_run("a_user_and_a_read_only_state_directory_get_the_daemon", &PROGRAMS) {
        return;
    }
    let world = World::new();
    let _daemon = world.daemon();
    let store = world.same_store(&AS_NOBODY, "daemon");
    assert_eq!(store.state.real_read_write, Fact::Present(false));
    assert_eq!(store.daemon.answers, Fact::Present(true));
    assert_eq!(store.database.writable, Fact::Present(false));
    let words = world.behind_read_only_state();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let store = world.same_store(&words, "daemon");
    assert_eq!(store.state.mount.read_only, Fact::Present(true));
    assert_eq!(store.database.writable, Fact::Present(false));
    assert!(store.state.mount.bind_source.present().is_some_and(|source| source.ends_with("/state")));
    assert_eq!(store.daemon.answers, Fact::Present(true), "a socket is reached through a read-only mount");
}

#[test]
fn the_store_setting_of_a_file_goes_before_nix_remote() {
    if !can_run("the_store_setting_of_a_file_goes_before_nix_remote", &PROGRAMS) {
        return;
    }
    let mut world = World::new();
    let _daemon = world.daemon();
    world.set("NIX_REMOTE", "daemon");
    world.write("conf/nix.conf", "store = local\n");
    let store = world.same_store(&["env"], "local");
    assert_eq!(store.chosen.origin, Fact::Present(format!("{}:1", world.text("conf/nix.conf"))));
    world.write("home/.config/nix/nix.conf", "# mine\nstore = daemon\n");
    world.same_store(&["env"], "daemon");
    world.write("home/.config/nix/nix.conf", &format!("store = {}\n", world.text("elsewhere")));
    let store = world.same_store(&["env"], "local");
    assert_eq!(store.state.path, Fact::Present(world.text("elsewhere/nix/var/nix")));
    world.set("NIX_CONFIG", "store = auto");
    world.same_store(&["env"], "local");
}

#[test]
fn the_owner_of_a_single_user_installation_gets_the_local_store() {
    if !can_run("the_owner_of_a_single_user_installation_gets_the_local_store", &PROGRAMS) {
        return;
    }
    let world = World::new();
    for name in ["store", "state", "log", "home"] {
        chown(world.path(name), Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    let before = files_below(&world.path("state"));
    let (_, store) = world.view_of_child(&AS_NOBODY);
    assert_eq!(files_below(&world.path("state")), before, "looking creates nothing");
    assert_eq!(store.database.writable, Fact::Absent, "there is no database yet");
    assert_eq!(store.daemon.failure, Fact::Present("ENOENT".to_owned()));
    let store = world.same_store(&AS_NOBODY, "local");
    assert_eq!(store.state.owner, Fact::Present(NOBODY));
    let (_, store) = world.view_of_child(&AS_NOBODY);
    assert_eq!(store.database.writable, Fact::Present(true));
    let database = files_below(&world.path("state/db"));
    world.view_of_child(&AS_NOBODY);
    assert_eq!(files_below(&world.path("state/db")), database, "the database is never opened through SQLite");
}

fn files_below(directory: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        found.extend(files_below(&path));
        found.insert(path);
    }
    found
}

#[test]
fn a_user_that_the_daemon_does_not_admit_sees_the_connection_closed() {
    if !can_run("a_user_that_the_daemon_does_not_admit_sees_the_connection_closed", &PROGRAMS) {
        return;
    }
    let world = World::new();
    world.write("conf/nix.conf", "allowed-users = root\n");
    let _daemon = world.daemon();
    let (nix, store) = world.view_of_child(&AS_NOBODY);
    assert_eq!(store.daemon.answers, Fact::Present(false));
    assert_eq!(store.daemon.failure, Fact::Present("the connection was closed".to_owned()));
    assert_eq!(nix.trust.admits_everyone, Fact::Present(false));
    assert_eq!(nix.trust.admitted_uids, Fact::Present(vec![0]));
}

#[test]
fn who_holds_a_lock_on_the_database_is_named() {
    if !can_run("who_holds_a_lock_on_the_database_is_named", &["nix", "flock"]) {
        return;
    }
    let world = World::new();
    assert_eq!(world.store_of_nix(&["env"]), "local");
    let lock = world.text("state/db/big-lock");
    let mut holder =
        RunningDaemon(world.command("flock").args(["-s", "-o", &lock, "sleep", "30"]).spawn().expect("flock"));
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, store) = view(world.environment());
        let holders = store.database.lock_holders.present().expect("holders").items.clone();
        if let Some(found) = holders.iter().find(|found| found.pid == holder.0.id()) {
            assert_eq!((found.file.as_str(), found.mode.as_str()), ("big-lock", "read"));
            assert!(found.process.present().is_some());
            break;
        }
        assert!(Instant::now() < until && holder.0.try_wait().expect("wait").is_none(), "{holders:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Debian's packages let only a group into the directory of the socket.
#[test]
fn a_socket_that_a_user_may_not_look_at_stops_nix_and_is_no_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state");
    let socket = state.join("daemon-socket");
    std::fs::create_dir_all(&socket).expect("mkdir");
    let _listener = std::os::unix::net::UnixListener::bind(socket.join("socket")).expect("a socket");
    for (path, mode) in [(directory.path(), 0o755), (state.as_path(), 0o755), (socket.as_path(), 0o700)] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    }
    let binary = directory.path().join("parallax");
    std::fs::copy(env!("CARGO_BIN_EXE_parallax"), &binary).expect("a copy");
    let nobody = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(arguments).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", directory.path()).env("NIX_STATE_DIR", &state);
        command.output().expect("setpriv runs")
    };
    let nix = nobody("nix", &["--extra-experimental-features", "nix-command", "store", "ping"]);
    let said = String::from_utf8_lossy(&nix.stderr).into_owned();
    assert!(!nix.status.success() && said.contains("Permission denied"), "{said}");
    let probe = nobody(&binary.display().to_string(), &["probe"]);
    let snapshot: serde_json::Value = serde_json::from_slice(&probe.stdout).expect("a snapshot");
    let chosen = &snapshot["facts"]["store"]["chosen"];
    assert!(chosen.get("kind").is_some_and(serde_json::Value::is_null), "{chosen:#}");
    assert!(chosen["because"].as_str().is_some_and(|because| because.contains("EACCES")), "{chosen:#}");
}
