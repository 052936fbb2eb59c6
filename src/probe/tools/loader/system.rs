//! Where a distribution's glibc searches in a root: its multiarch directories, the built-in ones, and `/etc/ld.so.cache`.

use crate::formats::ld_cache;
use crate::probe::reason;
use crate::snapshot::Reason;
use crate::sys::{LookError, Root};

/// The longest cache that is read.
pub(super) const CACHE: usize = 8 << 20;
/// Where loaders of distributions search when nothing else is said. The union of what glibc was built for anywhere: a library
/// that lies in one of them is not called missing.
const SYSTEM: &[&str] = &["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib32", "/usr/lib32", "/libx32", "/usr/libx32"];

/// Where a distribution's glibc searches in this root; the same for all its programs, and read once.
pub(in crate::probe::tools) struct System {
    pub(super) directories: Vec<String>,
    /// `/etc/ld.so.cache`: name and path.
    pub(super) cache: Vec<(String, String)>,
    /// Why there may be more.
    pub(super) open: Option<Reason>,
}

impl System {
    pub(super) fn of(root: &Root) -> Self {
        let mut found = Self { directories: Vec::new(), cache: Vec::new(), open: None };
        for base in ["/lib", "/usr/lib"] {
            // Debian's multiarch directories, such as /lib/x86_64-linux-gnu.
            match root.list(base, 10_000) {
                Ok((names, _)) => {
                    let multiarch = names.iter().filter(|name| name.contains("-linux-gnu"));
                    found.directories.extend(multiarch.map(|name| format!("{base}/{name}")));
                }
                Err(LookError::NotFound { .. }) => {}
                Err(error) => found.open = Some(reason(error)),
            }
        }
        found.directories.extend(SYSTEM.iter().map(|place| (*place).to_owned()));
        match root.read("/etc/ld.so.cache", CACHE) {
            Ok(bytes) => match ld_cache::parse(&bytes) {
                Some(cache) => found.cache = cache,
                None => {
                    let detail = "not a cache of a known format".to_owned();
                    found.open = Some(Reason::Malformed { path: "/etc/ld.so.cache".into(), line: None, detail });
                }
            },
            Err(LookError::NotFound { .. }) => {}
            Err(error) => found.open = Some(reason(error)),
        }
        found
    }
}
