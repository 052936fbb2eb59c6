//! Recording: with `PARALLAX_RECORD=1` every world that is kept writes the snapshots of its contexts to `fixtures/<world>/`, made by parallax itself.
//!
//! Host, users and services come from `doctor --publish`, containers from `probe --container`; nothing is pruned by hand. The recorded binary
//! stands at a neutral path, so that no directory of whoever records is in a snapshot.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::doctor::{doctor, parallax};
use crate::engine::Container;
use crate::hostile::{JOB, SLEEP};
use crate::image::{BUSYBOX, NIX};
use crate::nix::NixDaemon;

/// The largest snapshot that is kept, in bytes.
const MOST: u64 = 200_000;

/// Whether worlds are recorded.
pub fn wanted() -> bool {
    std::env::var_os("PARALLAX_RECORD").is_some_and(|value| value == "1")
}

/// The binary that worlds run: cargo's, or when they are recorded a copy of it at a neutral path.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_parallax"));
        if !wanted() {
            return built;
        }
        let copy = PathBuf::from("/var/tmp/parallax-world/parallax");
        std::fs::create_dir_all("/var/tmp/parallax-world").expect("mkdir");
        std::fs::copy(built, &copy).expect("a copy");
        copy
    })
}

/// The snapshots of one run's contexts, until the world has a name.
pub struct Recording(tempfile::TempDir);

impl Recording {
    /// Looks once more as `doctor` did, and keeps the views.
    pub fn of(report: &Value, arguments: &[&str], variables: &[(&str, String)]) -> Option<Self> {
        if !wanted() {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let published = directory.path().join("published");
        let mut command = parallax();
        command.args(["doctor", "--format", "json", "--publish"]).arg(&published).args(arguments);
        command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        command.output().expect("parallax runs");
        let contexts = report["contexts"].as_array().expect("contexts");
        for id in contexts.iter().filter_map(|context| context["id"].as_str()) {
            let name = id.replace(['/', ':'], "-");
            let to = directory.path().join(format!("{name}.json"));
            if let Some(container) = id.strip_prefix("container:").filter(|name| name.starts_with("parallax-world-")) {
                let mut command = parallax();
                command.args(["probe", "--container", container]).args(configuration(arguments));
                command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
                let output = command.output().expect("parallax runs");
                assert!(!output.stdout.is_empty(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
                std::fs::write(to, output.stdout).expect("a snapshot");
            } else if !id.starts_with("container:") {
                let view = published.join(format!("{}.snapshot.json", id.replace(':', ".")));
                std::fs::copy(view, to).expect("a published view");
            }
        }
        std::fs::remove_dir_all(published).expect("removed");
        Some(Self(directory))
    }

    /// Replaces what `fixtures/` has of this world.
    pub fn keep(&self, world: &str) {
        let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(world);
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).expect("mkdir");
        for entry in std::fs::read_dir(self.0.path()).expect("recorded").flatten() {
            assert!(entry.metadata().expect("metadata").len() < MOST, "{} is small", entry.path().display());
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a fixture");
        }
    }
}

/// The `--config` among the arguments.
fn configuration<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().skip_while(|word| **word != "--config").take(2).copied().collect()
}

/// A world for the facts that no other world has: everything that a context can be configured with, and a context that can't be looked from.
pub fn what_is_recorded_shows_every_fact_seen_and_unseen() {
    let configured = crate::canaries::configured(&["--offline"]);
    configured.keep("every-credential");
    let text = configured.json.to_string();
    assert!(text.contains("container:parallax-world-job"), "{text}");

    let nix = NixDaemon::start("");
    let write = |name: &str, content: &str| {
        std::fs::write(nix.path(name), content).expect("a file");
        format!("{}:/etc/{name}:ro", nix.text(name))
    };
    let mounts = [
        write("hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
        write("host.conf", "multi on\n"),
        write("resolv.conf", "nameserver 127.0.0.53\n"),
        format!("{}:/nix/var/nix/gcroots", nix.text("var/gcroots")),
    ];
    let options: Vec<&str> = JOB.into_iter().chain(mounts.iter().flat_map(|mount| ["-v", mount.as_str()])).collect();
    let container = Container::run("parallax-world-job", &options, NIX, SLEEP);
    let mounted = doctor(&["--offline"], &nix.environment());
    mounted.keep("mounted-names-and-roots");
    drop(container);

    let _container = Container::run("parallax-world-job", &JOB, BUSYBOX, SLEEP);
    // The whole of it is kept for comparing and writing: no context can be looked from.
    let unseen = doctor(&["--offline", "--deadline", "0.5"], &[]);
    unseen.keep("no-time");
}
