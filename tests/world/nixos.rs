//! What `nix/` has for NixOS, evaluated by a real Nix. There is no nixpkgs here: `tests/nix/stub` stands for the few functions of it that are
//! used, so option types and the build itself are not tried.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A Nix program with a store and a state of its own.
fn nix(program: &str, own: &Path, arguments: &[&str]) -> String {
    let below = |name: &str| own.join(name).display().to_string();
    std::fs::create_dir_all(own.join("etc")).expect("mkdir");
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", own)
        .envs([("NIX_STORE_DIR", below("store")), ("NIX_STATE_DIR", below("var"))])
        .envs([("NIX_LOG_DIR", below("log")), ("NIX_CONF_DIR", below("etc"))])
        .output()
        .expect("Nix runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// An expression's value.
fn evaluated(file: &str) -> Value {
    let own = tempfile::tempdir().expect("a directory");
    let file = format!("{ROOT}/{file}");
    let arguments = ["--eval", "--strict", "--json", "--read-write-mode", file.as_str()];
    serde_json::from_str(&nix("nix-instantiate", own.path(), &arguments)).expect("JSON")
}

/// A section of a unit file, as NixOS' options would hold it.
fn section(unit: &str, name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("{ROOT}/docs/templates/systemd/{unit}")).expect("a unit");
    let lines = text.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    let own = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    own.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Options of a unit, as a unit file would have them.
fn written(options: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.replace("/package/bin/", "/usr/local/bin/"),
        other => other.to_string(),
    };
    options.as_object().expect("options").iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

pub fn the_nixos_module_says_the_same_as_the_units() {
    let module = evaluated("tests/nix/evaluate.nix");
    let systemd = &module["systemd"];
    let service = |name: &str| written(&systemd["services"][name]["serviceConfig"]);
    assert_eq!(service("parallax"), section("parallax.service", "Service"));
    assert_eq!(service("parallax-publish"), section("parallax-publish.service", "Service"));
    assert_eq!(written(&systemd["sockets"]["parallax"]["socketConfig"]), section("parallax.socket", "Socket"));
    assert_eq!(
        written(&systemd["timers"]["parallax-publish"]["timerConfig"]),
        section("parallax-publish.timer", "Timer")
    );
    assert_eq!(module["disabled"], serde_json::json!({}), "nothing is configured where it is not enabled");
    assert_eq!(module["volumes"][0], "/run/parallax:/run/parallax:ro");
}

pub fn the_flake_offers_the_package_and_the_module() {
    let own = tempfile::tempdir().expect("a directory");
    let flake = own.path().join("flake");
    std::fs::create_dir_all(&flake).expect("mkdir");
    let mut copy = Command::new("cp");
    copy.current_dir(ROOT).args(["-r", "flake.nix", "nix", "Cargo.toml", "Cargo.lock"]);
    assert!(copy.arg(&flake).status().expect("cp").success());
    let (flake, stub) = (format!("path:{}", flake.display()), format!("path:{ROOT}/tests/nix/stub"));
    let features = ["--extra-experimental-features", "nix-command flakes"];
    let stubbed = ["--override-input", "nixpkgs", stub.as_str(), "--no-write-lock-file"];
    let show = [&features[..], &["flake", "show", "--json", flake.as_str()], &stubbed[..]].concat();
    let shown: Value = serde_json::from_str(&nix("nix", own.path(), &show)).expect("JSON");
    assert_eq!(shown["packages"]["x86_64-linux"]["default"]["type"], "derivation", "{shown:#}");
    assert_eq!(shown["nixosModules"]["default"]["type"], "nixos-module", "{shown:#}");
    let check = [&features[..], &["flake", "check", "--no-build", flake.as_str()], &stubbed[..]].concat();
    nix("nix", own.path(), &check);
}

/// A volume without its source, which is a store path on NixOS.
fn place(volume: &str) -> String {
    volume.split_once(':').expect("source and place").1.to_owned()
}

pub fn the_runners_for_nixos_are_those_of_the_toml_files() {
    let all = evaluated("tests/nix/evaluate.nix");
    for name in ["host-daemon", "plain", "sandbox"] {
        let text = std::fs::read_to_string(format!("{ROOT}/docs/templates/runner/{name}.toml")).expect("a template");
        let toml: toml::Value = toml::from_str(&text).expect("TOML");
        let (nixos, entry) = (&all["runners"][name], &toml["runners"][0]);
        let service = &nixos["services"][format!("nix-{name}")];
        assert_eq!(nixos["settings"]["concurrent"].as_i64(), toml["concurrent"].as_integer());
        assert_eq!(service["dockerImage"].as_str(), entry["docker"]["image"].as_str());
        let privileged = entry["docker"].get("privileged").and_then(toml::Value::as_bool).unwrap_or(false);
        assert_eq!(service["dockerPrivileged"].as_bool().unwrap_or(false), privileged);
        let volumes = entry["docker"]["volumes"].as_array().expect("volumes").iter().filter_map(toml::Value::as_str);
        let of_nixos = service["dockerVolumes"].as_array().expect("volumes").iter().filter_map(Value::as_str);
        assert_eq!(of_nixos.map(place).collect::<Vec<_>>(), volumes.map(place).collect::<Vec<_>>());
        let environment = entry.get("environment").and_then(toml::Value::as_array);
        let names = environment.into_iter().flatten().filter_map(toml::Value::as_str).filter_map(|v| v.split_once('='));
        let mut names: Vec<&str> = names.map(|(name, _)| name).collect();
        names.sort_unstable();
        let of_nixos = service["environmentVariables"].as_object();
        assert_eq!(of_nixos.map_or(Vec::new(), |all| all.keys().map(String::as_str).collect()), names);
    }
}
