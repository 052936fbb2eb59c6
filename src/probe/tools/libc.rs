//! Which C library programs of this root get: that of its own shell, else what stands where loaders stand.

use super::Scene;
use super::loader::{self, Flavour, Loader};
use crate::probe::reason;
use crate::snapshot::{Fact, Reason};
use crate::sys::LookError;

/// Where glibc's loaders stand, by its own naming (`shlib-versions`).
const GLIBC_LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib64/ld64.so.2",
    "/lib/ld64.so.1",
    "/lib64/ld-linux-loongarch-lp64d.so.1",
    "/lib/ld-linux.so.2",
];

/// `libc` and `glibc` of the family.
pub(super) fn observe(scene: &Scene<'_>) -> (Fact<String>, Fact<String>) {
    let root = scene.target.root;
    let mut candidates = Vec::new();
    if let Ok(shell) = scene.libraries.read(root, "/bin/sh").as_ref() {
        candidates.extend(shell.interpreter.clone());
    }
    candidates.extend(GLIBC_LOADERS.iter().map(|path| (*path).to_owned()));
    let mut unseen: Option<Reason> = None;
    match root.list("/lib", 10_000) {
        Ok((names, _)) => {
            let musl = names.iter().filter(|name| name.starts_with("ld-musl-"));
            candidates.extend(musl.map(|name| format!("/lib/{name}")));
        }
        Err(LookError::NotFound { .. }) => {}
        Err(error) => unseen = Some(reason(error)),
    }
    for path in candidates.iter().filter(|path| path.starts_with('/')) {
        let loader = match Loader::at(scene, path) {
            Ok(loader) => loader,
            Err(LookError::NotFound { .. }) => continue,
            Err(error) => {
                unseen = Some(reason(error));
                continue;
            }
        };
        match loader.flavour {
            Flavour::Glibc => return (Fact::Present("glibc".into()), version(scene, path, &loader)),
            Flavour::Musl => return (Fact::Present("musl".into()), Fact::Absent),
            Flavour::Other => {}
        }
    }
    match unseen {
        Some(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason)),
        None => (Fact::Absent, Fact::Absent),
    }
}

fn version(scene: &Scene<'_>, path: &str, loader: &Loader) -> Fact<String> {
    let unread = |detail: &str| {
        Fact::Unobserved(Reason::Malformed { path: loader.real.clone(), line: None, detail: detail.to_owned() })
    };
    let read = scene.libraries.read(scene.target.root, path);
    let Ok(elf) = read.as_ref() else { return unread("not read as ELF") };
    let Some(library) = loader::libc(scene, path, elf, loader) else { return Fact::Absent };
    match library.as_ref() {
        Ok(libc) => {
            let defined = libc.dynamic.as_ref().map(|dynamic| dynamic.versions_defined.as_slice());
            loader::newest(defined.unwrap_or_default(), "GLIBC").map(str::to_owned).into()
        }
        Err(_) => unread("its libc.so.6 can't be read"),
    }
}
