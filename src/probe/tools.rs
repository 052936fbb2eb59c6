//! The tools of pipelines: where PATH leads, what the file is and where it comes from, and whether it can start here.
//!
//! Reads the environment's PATH and files beneath the target's root. Nothing is started: what `execve(2)` and the dynamic loader
//! would decide is worked out from the files ([`start`], [`loader`]). Must not judge: a tool that can't start is a fact.

mod libc;
mod libraries;
mod loader;
mod machine;
mod origin;
mod packages;
mod path;
mod start;
#[cfg(test)]
mod tests;

use crate::formats::mountinfo::{self, MountEntry};
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{Tool, Tools};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::Seen;
use path::{Lookup, SearchPath};

/// What pipelines call by name, beside what `parallax.toml` adds.
const TOOLS: &[&str] = &[
    "sh",
    "bash",
    "env",
    "cat",
    "cp",
    "ls",
    "grep",
    "sed",
    "awk",
    "find",
    "tar",
    "gzip",
    "xz",
    "make",
    "git",
    "ssh",
    "curl",
    "jq",
    "python3",
    "node",
    "nix",
    "nix-store",
    "nix-build",
    "nix-daemon",
    "docker",
    "podman",
    "mc",
    "aws",
    "attic",
    "cachix",
    "sops",
    "gitlab-runner",
];
/// Most names that are looked for.
const NAMES: usize = 256;

/// What all looks of this family share.
struct Scene<'a> {
    target: &'a Target<'a>,
    mounts: Fact<Vec<MountEntry>>,
    search: Fact<SearchPath>,
    machine: machine::Machine,
    libraries: libraries::Libraries,
    system: std::cell::OnceCell<loader::System>,
}

impl Scene<'_> {
    /// The mount that an object lies on.
    fn mount(&self, seen: &Seen) -> Fact<&MountEntry> {
        self.mounts.as_ref().and_then(|mounts| {
            let found = seen.mount_id.and_then(|id| mounts.iter().find(|mount| mount.id == id));
            found.map_or_else(
                || Fact::Unobserved(Reason::NotEmulated { what: "a mount that is not in the mount table".into() }),
                Fact::Present,
            )
        })
    }
}

/// Observes the family.
pub fn observe(target: &Target<'_>) -> Tools {
    let scene = Scene {
        target,
        mounts: mounts(target),
        search: path::search_path(target),
        machine: machine::Machine::running(),
        libraries: libraries::Libraries::default(),
        system: std::cell::OnceCell::new(),
    };
    let (libc, glibc) = libc::observe(&scene);
    let path = scene.search.as_ref().map(|search| search.entries(target));
    let (found, missing) = match &scene.search {
        Fact::Present(search) => tools(&scene, search),
        // PATH leads nowhere; what a shell takes in its place is not PATH's, and nothing is said of it.
        Fact::Absent => (Fact::Absent, Fact::Absent),
        Fact::Unobserved(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone())),
    };
    Tools { path, found, missing, libc, glibc }
}

/// Without PATH each shell and each C library searches places of its own.
fn default_path() -> Reason {
    Reason::NotEmulated { what: "the search path that a shell or C library takes when PATH is not set".into() }
}

fn mounts(target: &Target<'_>) -> Fact<Vec<MountEntry>> {
    fact(target.process.mountinfo.as_ref().map_err(Clone::clone)).and_then(|text| match mountinfo::parse(text) {
        Ok(mounts) => Fact::Present(mounts),
        Err(error) => Fact::Unobserved(Reason::Malformed {
            path: format!("/proc/{}/mountinfo", target.process.pid),
            line: Some(error.line),
            detail: "not a mountinfo line".into(),
        }),
    })
}

/// The names to look for, each once: the built-in ones first.
fn names<'a>(target: &'a Target<'_>) -> (Vec<&'a str>, bool) {
    let mut names: Vec<&str> = Vec::new();
    let wished = target.wishes.tools.iter().map(String::as_str);
    for name in TOOLS.iter().copied().chain(wished) {
        if !name.is_empty() && !name.contains(['/', '\0']) && !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len() > NAMES;
    names.truncate(NAMES);
    (names, more)
}

fn tools(scene: &Scene<'_>, search: &SearchPath) -> (Fact<List<Tool>>, Fact<Vec<String>>) {
    let (names, more) = names(scene.target);
    let mut more = more.then(|| Reason::Truncated { at: NAMES as u64, what: "the names of tools".into() });
    // Nothing that is in the working directory alone is a tool that PATH provides for; whether the name is missing is open all the same.
    let mut open = None;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match search.lookup(scene.target, name) {
            Lookup::Found { path, seen } => found.push(tool(scene, name, &path, &seen)),
            Lookup::Missing => missing.push(name.to_owned()),
            Lookup::Shadowed(reason) => found.push(shadowed(name, &reason)),
            Lookup::Unobserved(reason) if reason == path::working_directory() => open = Some(reason),
            Lookup::Unobserved(reason) => more = Some(reason),
        }
    }
    origin::fill(scene, &mut found);
    let missing = match more.as_ref().or(open.as_ref()) {
        Some(reason) => Fact::Unobserved(reason.clone()),
        None => Fact::Present(missing),
    };
    (Fact::Present(List { items: found, more }), missing)
}

fn tool(scene: &Scene<'_>, name: &str, path: &str, seen: &Seen) -> Tool {
    let verdict = start::observe(scene, path);
    Tool {
        name: name.to_owned(),
        path: Fact::Present(path.to_owned()),
        real: match scene.target.root.resolve(path) {
            Ok(real) => Fact::Present(real),
            Err(error) => Fact::Unobserved(reason(error)),
        },
        identity: scene.mount(seen).map(|mount| scene.target.object(seen, &mount.filesystem)),
        origin: Fact::default(),
        from: Fact::default(),
        format: verdict.format,
        machine: verdict.machine,
        interpreter: verdict.interpreter,
        startable: verdict.startable,
        obstacle: verdict.obstacle,
    }
}

/// A tool that is there, at a path that is not known.
fn shadowed(name: &str, reason: &Reason) -> Tool {
    Tool {
        name: name.to_owned(),
        path: Fact::Unobserved(reason.clone()),
        real: Fact::Unobserved(reason.clone()),
        identity: Fact::Unobserved(reason.clone()),
        origin: Fact::Unobserved(reason.clone()),
        from: Fact::Unobserved(reason.clone()),
        format: Fact::Unobserved(reason.clone()),
        machine: Fact::Unobserved(reason.clone()),
        interpreter: Fact::Unobserved(reason.clone()),
        startable: Fact::Unobserved(reason.clone()),
        obstacle: Fact::Unobserved(reason.clone()),
    }
}

/// Rights were asked with less, or more, than the context's own identity.
fn incomplete(target: &Target<'_>) -> Reason {
    Reason::IdentityIncomplete { missing: target.incomplete.join(", ") }
}
