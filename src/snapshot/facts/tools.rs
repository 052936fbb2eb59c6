//! Where the tools on PATH come from, and whether they can start here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List, ObjectId};

/// Where the tools on PATH come from and whether they can start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// The directories of PATH, in order.
    pub path: Fact<List<PathEntry>>,
    /// The tools that pipelines use, by name: those of the built-in list and of `parallax.toml` that PATH leads to. What is in the
    /// working directory alone is left out; absent where PATH is not set.
    pub found: Fact<List<Tool>>,
    /// Names of that list that PATH leads to nowhere.
    pub missing: Fact<Vec<String>>,
    /// The C library of this root: `glibc`, `musl`, or absent when there is none.
    #[schemars(extend("x-disclosure" = "public"))]
    pub libc: Fact<String>,
    /// The newest `GLIBC_x.y` that this root's libc defines.
    #[schemars(extend("x-disclosure" = "public"))]
    pub glibc: Fact<String>,
}

/// One directory of PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathEntry {
    /// As written; an empty entry means the working directory.
    pub directory: String,
    /// Whether it exists here.
    pub exists: Fact<bool>,
    /// Whether this identity can put files into it.
    pub writable: Fact<bool>,
}

/// One tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tool {
    /// The name it is called by.
    #[schemars(extend("x-disclosure" = "public"))]
    pub name: String,
    /// The first executable file of that name on PATH or, where none is executable for this identity, the first file.
    pub path: Fact<String>,
    /// What that path leads to after symbolic links.
    pub real: Fact<String>,
    /// Which file it is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
    /// `image` (the root filesystem), `bind` (mounted from elsewhere), `nix-store`, `profile` (a link through a Nix profile),
    /// `distribution` (owned by a package).
    pub origin: Fact<String>,
    /// What it came from: the source of the bind mount, the store path, the profile, the package.
    pub from: Fact<String>,
    /// `static`, `dynamic`, `script`, or `other`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub format: Fact<String>,
    /// The ELF machine, such as `x86_64`; absent for scripts.
    #[schemars(extend("x-disclosure" = "public"))]
    pub machine: Fact<String>,
    /// The interpreter it asks for: PT_INTERP or the `#!` line; absent when it needs none.
    pub interpreter: Fact<String>,
    /// Whether `execve(2)` would start it here and the loader would get to its first instruction, as far as files, rights, machine and
    /// mount options decide. False also where the program that `#!/usr/bin/env NAME` asks for is not on PATH.
    #[schemars(extend("x-disclosure" = "public"))]
    pub startable: Fact<bool>,
    /// What stands in the way; absent when nothing does.
    pub obstacle: Fact<String>,
}
