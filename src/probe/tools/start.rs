//! Whether `execve(2)` would start a file, worked out from files, mount options and rights, in the order in which the kernel
//! asks (`fs/exec.c`, `fs/binfmt_script.c`, `fs/binfmt_elf.c`), and then whether the dynamic loader gets to the program's first instruction.
//!
//! Two things beyond `execve` itself count as obstacles, because the program does not run either: a library or a symbol
//! version that the loader will not find, and the program that `#!/usr/bin/env NAME` looks for. What security modules, seccomp and
//! resource limits decide is not asked here.

use super::machine::Fit;
use super::path::Lookup;
use super::{Scene, incomplete, loader};
use crate::formats::elf::{Elf, ElfError, machine_name};
use crate::formats::script::{self, EnvArgument, LOOKED_AT, Script, Start as FirstLine};
use crate::probe::reason;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Access, Kind, LookError};

/// Interpreters of interpreters that the kernel follows before it gives up with ELOOP (`exec_binprm`: more than five rounds).
const DEPTH: usize = 5;
/// Programs that start other programs (`env`) are followed this often.
const PROGRAMS: usize = 4;
const PAGE: u64 = 4096;

/// What is said of a tool.
pub(super) struct Verdict {
    pub(super) format: Fact<String>,
    pub(super) machine: Fact<String>,
    pub(super) interpreter: Fact<String>,
    pub(super) startable: Fact<bool>,
    pub(super) obstacle: Fact<String>,
}

/// Whether something would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    Yes,
    No(String),
    Unsure(Reason),
}

impl Start {
    /// Says whose obstacle it is.
    fn of(self, whose: &str) -> Self {
        match self {
            Self::No(obstacle) => Self::No(format!("{whose}: {obstacle}")),
            other => other,
        }
    }
}

/// Observes one tool.
pub(super) fn observe(scene: &Scene<'_>, path: &str) -> Verdict {
    let (format, machine, interpreter) = describe(scene, path);
    let (startable, obstacle) = match (Walk { scene, programs: 0 }).file(path, 0) {
        Start::Yes => (Fact::Present(true), Fact::Absent),
        Start::No(obstacle) => (Fact::Present(false), Fact::Present(obstacle)),
        Start::Unsure(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason)),
    };
    Verdict { format, machine, interpreter, startable, obstacle }
}

/// Format, machine and interpreter of the file itself.
fn describe(scene: &Scene<'_>, path: &str) -> (Fact<String>, Fact<String>, Fact<String>) {
    let format = |word: &str| Fact::Present(word.to_owned());
    let unobserved =
        |reason: Reason| (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
    match scene.libraries.read(scene.target.root, path).as_ref() {
        Ok(elf) => {
            let dynamic =
                elf.interpreter.is_some() || elf.dynamic.as_ref().is_some_and(|dynamic| !dynamic.needed.is_empty());
            let machine = machine_name(elf.machine, elf.class, elf.little_endian);
            (format(if dynamic { "dynamic" } else { "static" }), Fact::Present(machine), elf.interpreter.clone().into())
        }
        Err(ElfError::Refused(_)) => (format("other"), Fact::Absent, Fact::Absent),
        Err(ElfError::NotElf) => match scene.target.root.read_start(path, LOOKED_AT).map(|start| script::parse(&start))
        {
            Ok(FirstLine::Script(script)) => (format("script"), Fact::Absent, Fact::Present(script.interpreter)),
            Ok(FirstLine::Refused(_)) => (format("script"), Fact::Absent, Fact::Absent),
            Ok(FirstLine::Other) => (format("other"), Fact::Absent, Fact::Absent),
            Err(error) => unobserved(reason(error)),
        },
        Err(ElfError::Dynamic(detail)) => unobserved(malformed(path, detail)),
        Err(ElfError::Read(error)) => unobserved(reason(error.clone())),
    }
}

fn malformed(path: &str, detail: &str) -> Reason {
    Reason::Malformed { path: path.to_owned(), line: None, detail: detail.to_owned() }
}

/// One walk from a file to what finally runs.
struct Walk<'a> {
    scene: &'a Scene<'a>,
    /// How many programs started programs so far.
    programs: usize,
}

impl Walk<'_> {
    /// A file that the kernel is asked to execute; `depth` interpreters led to it.
    fn file(&self, path: &str, depth: usize) -> Start {
        match self.permitted(path) {
            Start::Yes => {}
            refused => return refused,
        }
        if depth > DEPTH {
            return Start::No(format!("more than {DEPTH} interpreters of interpreters (ELOOP)"));
        }
        let root = self.scene.target.root;
        let start = match root.read_start(path, LOOKED_AT) {
            Ok(start) => start,
            Err(error) => return Start::Unsure(reason(error)),
        };
        if let Some(handler) = self.scene.machine.handler(path, &start) {
            if handler.flags.contains('F') {
                return Start::Yes;
            }
            let whose = format!("its binfmt_misc interpreter {}", handler.interpreter);
            return self.interpreter(&handler.interpreter, depth).of(&whose);
        }
        if start.starts_with(b"\x7fELF") {
            return self.elf(path);
        }
        match script::parse(&start) {
            FirstLine::Script(script) => self.script(&script, depth),
            FirstLine::Refused(why) => Start::No(format!("{why} (ENOEXEC)")),
            FirstLine::Other => match self.scene.machine.unseen_handlers() {
                Some(_) if start.is_empty() => Start::No("it is empty (ENOEXEC)".into()),
                // Text without #! is what shells take as a script; a binary format may have a handler that we can't see.
                Some(reason) if start.contains(&0) => Start::Unsure(reason.clone()),
                _ if start.is_empty() => Start::No("it is empty (ENOEXEC)".into()),
                _ => Start::No(
                    "it is neither ELF nor a script with #! (ENOEXEC; shells run it as a script of theirs)".into(),
                ),
            },
        }
    }

    /// What `do_open_execat` asks: a regular file, the right to execute it, a mount without noexec.
    fn permitted(&self, path: &str) -> Start {
        let root = self.scene.target.root;
        let seen = match root.look(path) {
            Ok(seen) => seen,
            Err(LookError::NotFound { .. }) if root.look_at_link(path).is_ok() => {
                return Start::No("it is a link that leads nowhere (ENOENT)".into());
            }
            Err(LookError::NotFound { .. }) => return Start::No("it does not exist (ENOENT)".into()),
            Err(LookError::Refused { errno, .. }) if errno == "ELOOP" || errno == "ENAMETOOLONG" => {
                return Start::No(format!("it can't be reached ({errno})"));
            }
            Err(LookError::Refused { errno, .. }) if errno == "EACCES" && self.scene.target.incomplete.is_empty() => {
                return Start::No("this identity may not search its directories (EACCES)".into());
            }
            Err(error) => return Start::Unsure(reason(error)),
        };
        if seen.kind != Kind::File {
            return Start::No(format!("it is a {}, not a regular file (EACCES)", seen.kind.word()));
        }
        if let Fact::Present(mount) = self.scene.mount(&seen)
            && mount.has_option("noexec")
        {
            return Start::No(format!("the mount {} has noexec (EACCES)", mount.point));
        }
        // With rights of another identity only a mode that is the same for everybody decides.
        let bits = seen.mode & 0o111;
        if bits == 0 {
            return Start::No(format!("its mode is {:04o}, which nobody may execute (EACCES)", seen.mode));
        }
        if !self.scene.target.incomplete.is_empty() {
            return if bits == 0o111 { Start::Yes } else { Start::Unsure(incomplete(self.scene.target)) };
        }
        match root.effective_access(path, Access::Execute) {
            Ok(true) => Start::Yes,
            Ok(false) => Start::No(format!("this identity may not execute it; its mode is {:04o} (EACCES)", seen.mode)),
            Err(error) => Start::Unsure(reason(error)),
        }
    }

    /// The next file of a chain, as the kernel opens it.
    fn interpreter(&self, path: &str, depth: usize) -> Start {
        if !path.starts_with('/') {
            return Start::Unsure(Reason::NotEmulated {
                what: format!("the working directory, which {path} is relative to"),
            });
        }
        self.file(path, depth + 1)
    }

    fn script(&self, script: &Script, depth: usize) -> Start {
        let shown = script.interpreter.escape_debug();
        let whose = format!("its interpreter {shown}");
        match self.interpreter(&script.interpreter, depth) {
            Start::Yes => {}
            Start::No(obstacle) if script.interpreter.ends_with('\r') => {
                return Start::No(format!("{whose}: {obstacle}; the line ends in a carriage return"));
            }
            other => return other.of(&whose),
        }
        if script.interpreter.rsplit('/').next() == Some("env") { self.env(script) } else { Start::Yes }
    }

    /// What `env` starts: it searches PATH as `execvp(3)` does.
    fn env(&self, script: &Script) -> Start {
        let name = match script::env_argument(script.argument.as_deref()) {
            EnvArgument::Program(name) => name,
            // The script's own path becomes the program: `env` would start it for ever.
            EnvArgument::Nothing => return Start::No("env is told no program".into()),
            EnvArgument::Unknown(what) => return Start::Unsure(Reason::NotEmulated { what: format!("env {what}") }),
        };
        if self.programs == PROGRAMS {
            return Start::Unsure(Reason::NotEmulated {
                what: format!("more than {PROGRAMS} programs that start programs"),
            });
        }
        let next = Walk { scene: self.scene, programs: self.programs + 1 };
        let whose = format!("{}, which its first line asks env for", name.escape_debug());
        if name.contains('/') {
            return next.interpreter(&name, 0).of(&whose);
        }
        let search = match &self.scene.search {
            Fact::Present(search) => search,
            Fact::Absent => return Start::Unsure(super::default_path()),
            Fact::Unobserved(reason) => return Start::Unsure(reason.clone()),
        };
        match search.lookup(self.scene.target, &name) {
            Lookup::Found { path, .. } => next.file(&path, 0).of(&whose),
            Lookup::Missing => Start::No(format!("{whose}: it is not on PATH")),
            Lookup::Shadowed(reason) | Lookup::Unobserved(reason) => Start::Unsure(reason),
        }
    }

    /// What `load_elf_binary` asks, and then the loader.
    fn elf(&self, path: &str) -> Start {
        let root = self.scene.target.root;
        let read = self.scene.libraries.read(root, path);
        let elf = match read.as_ref() {
            Ok(elf) => elf,
            Err(error) => return unread(path, error),
        };
        match self.native(elf) {
            Start::Yes => {}
            other => return other,
        }
        if let Start::No(obstacle) = self.complete(path, elf) {
            return Start::No(obstacle);
        }
        let Some(interpreter) = &elf.interpreter else {
            return match &elf.dynamic {
                Some(dynamic) if !dynamic.needed.is_empty() => {
                    Start::Unsure(Reason::NotEmulated { what: "a shared library that is started as a program".into() })
                }
                _ => Start::Yes,
            };
        };
        if !interpreter.starts_with('/') {
            return Start::Unsure(Reason::NotEmulated {
                what: format!("the working directory, which {interpreter} is relative to"),
            });
        }
        match self.loader(interpreter) {
            Start::Yes => loader::observe(self.scene, path, elf, interpreter),
            other => other.of(&format!("its loader {}", interpreter.escape_debug())),
        }
    }

    fn native(&self, elf: &Elf) -> Start {
        if !elf.executable {
            return Start::No("it is an ELF file of a kind that is not started (ENOEXEC)".into());
        }
        match self.scene.machine.fit(elf) {
            Fit::Native => Start::Yes,
            Fit::Foreign(obstacle) => Start::No(format!("{obstacle} (ENOEXEC)")),
            Fit::Unsure(reason) => Start::Unsure(reason),
        }
    }

    /// A file that was cut off is mapped all the same, and dies at the first touch of what is missing.
    fn complete(&self, path: &str, elf: &Elf) -> Start {
        match self.scene.target.root.look(path) {
            Ok(seen) if elf.extent > seen.size.next_multiple_of(PAGE) => {
                Start::No(format!("it is cut off: {} bytes of the {} that its segments take", seen.size, elf.extent))
            }
            Ok(_) => Start::Yes,
            Err(error) => Start::Unsure(reason(error)),
        }
    }

    /// PT_INTERP: opened like a program, and itself an ELF file of the same machine (else ELIBBAD).
    fn loader(&self, path: &str) -> Start {
        match self.permitted(path) {
            Start::Yes => {}
            other => return other,
        }
        match self.scene.libraries.read(self.scene.target.root, path).as_ref() {
            Ok(elf) => match self.native(elf) {
                Start::Yes => self.complete(path, elf),
                Start::No(obstacle) => Start::No(format!("{obstacle}; as a loader ELIBBAD")),
                unsure => unsure,
            },
            Err(error) => unread(path, error),
        }
    }
}

fn unread(path: &str, error: &ElfError<LookError>) -> Start {
    match error {
        ElfError::NotElf => Start::No("it is not an ELF file (ELIBBAD)".into()),
        ElfError::Refused(why) => Start::No(format!("{why} (ENOEXEC)")),
        ElfError::Dynamic(detail) => Start::Unsure(malformed(path, detail)),
        ElfError::Read(error) => Start::Unsure(reason(error.clone())),
    }
}
