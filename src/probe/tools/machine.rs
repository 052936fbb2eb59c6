//! Which machines' programs the running kernel starts, by itself and through binfmt_misc (`search_binary_handler` in `fs/exec.c`;
//! `elf_check_arch` of each architecture).

use crate::formats::binfmt::{self, Handler};
use crate::formats::elf::{Class, Elf, machine_name};
use crate::probe::reason;
use crate::snapshot::Reason;
use crate::sys::kernel::{self, Handlers};

/// `e_machine` numbers (`elf(5)`).
const EM_386: u16 = 3;
const EM_486: u16 = 6;
const EM_PPC64: u16 = 21;
const EM_S390: u16 = 22;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const EM_RISCV: u16 = 243;
const EM_LOONGARCH: u16 = 258;

/// What the kernel starts.
pub(super) struct Machine {
    name: String,
    handlers: Registered,
}

enum Registered {
    Known(Vec<Handler>),
    Unknown(Reason),
}

/// Whether a machine's programs start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    Native,
    /// No, and what is said of it.
    Foreign(String),
    Unsure(Reason),
}

impl Machine {
    /// That of the running kernel.
    pub(super) fn running() -> Self {
        let handlers = match kernel::handlers() {
            Ok(Handlers::None) => Registered::Known(Vec::new()),
            Ok(Handlers::NotMounted) => {
                Registered::Unknown(Reason::NotEmulated { what: "binfmt_misc, which is not mounted here".into() })
            }
            Ok(Handlers::Mounted { status, handlers }) => registered(&status, &handlers),
            Err(error) => Registered::Unknown(reason(error)),
        };
        Self { name: kernel::machine(), handlers }
    }

    /// The handler that takes a file before the kernel's own formats do.
    pub(super) fn handler(&self, path: &str, start: &[u8]) -> Option<&Handler> {
        match &self.handlers {
            Registered::Known(handlers) => {
                handlers.iter().find(|handler| handler.enabled && handler.takes(path, start))
            }
            Registered::Unknown(_) => None,
        }
    }

    /// Why a handler may take what the kernel's own formats do not.
    pub(super) fn unseen_handlers(&self) -> Option<&Reason> {
        match &self.handlers {
            Registered::Known(_) => None,
            Registered::Unknown(reason) => Some(reason),
        }
    }

    /// Whether the kernel starts this machine's programs.
    pub(super) fn fit(&self, elf: &Elf) -> Fit {
        match native(&self.name, elf, kernel::starts_ia32()) {
            Native::Yes => Fit::Native,
            Native::Unsure => {
                let what = format!("whether this {} kernel starts {} programs", self.name, name(elf));
                Fit::Unsure(Reason::NotEmulated { what })
            }
            Native::No => match self.unseen_handlers() {
                Some(reason) => Fit::Unsure(reason.clone()),
                None => Fit::Foreign(format!(
                    "it is for {}, and this {} kernel has no handler for that",
                    name(elf),
                    self.name
                )),
            },
        }
    }
}

fn registered(status: &[u8], handlers: &[(String, Vec<u8>)]) -> Registered {
    if status.starts_with(b"disabled") {
        return Registered::Known(Vec::new());
    }
    let mut known = Vec::new();
    for (name, text) in handlers {
        match binfmt::parse(text) {
            Some(handler) => known.push(handler),
            None => {
                let path = format!("/proc/sys/fs/binfmt_misc/{name}");
                return Registered::Unknown(Reason::Malformed { path, line: None, detail: "not a handler".into() });
            }
        }
    }
    Registered::Known(known)
}

fn name(elf: &Elf) -> String {
    machine_name(elf.machine, elf.class, elf.little_endian)
}

#[derive(Debug, PartialEq, Eq)]
enum Native {
    Yes,
    No,
    Unsure,
}

/// `running` is `uname -m`, which `setarch(8)` can make smaller than the kernel's own machine.
fn native(running: &str, elf: &Elf, ia32: Option<bool>) -> Native {
    let is = |yes: bool| if yes { Native::Yes } else { Native::No };
    let little = elf.little_endian;
    match (running, elf.machine, elf.class) {
        ("x86_64", EM_X86_64, Class::Elf64) => is(little),
        // x32 programs; few kernels start them.
        ("x86_64", EM_X86_64, Class::Elf32) => Native::Unsure,
        ("x86_64", EM_386 | EM_486, Class::Elf32) => ia32.map_or(Native::Unsure, is),
        ("i386" | "i486" | "i586" | "i686", EM_386 | EM_486, Class::Elf32) => is(little),
        ("i386" | "i486" | "i586" | "i686", EM_X86_64, _) => Native::Unsure,
        ("aarch64", EM_AARCH64, Class::Elf64) => is(little),
        ("aarch64", EM_ARM, Class::Elf32) | ("armv8l", _, _) => Native::Unsure,
        ("riscv64", EM_RISCV, Class::Elf64) => is(little),
        ("ppc64le", EM_PPC64, Class::Elf64) => is(little),
        ("ppc64", EM_PPC64, Class::Elf64) => is(!little),
        ("s390x", EM_S390, Class::Elf64) => is(!little),
        ("loongarch64", EM_LOONGARCH, Class::Elf64) => is(little),
        (arm, EM_ARM, Class::Elf32) if arm.starts_with("armv") => Native::Yes,
        ("x86_64" | "aarch64" | "riscv64" | "ppc64le" | "ppc64" | "s390x" | "loongarch64", machine, _) => {
            // A 32-bit relative of the same family may or may not be started.
            let relative = matches!(
                (running, machine),
                ("riscv64", EM_RISCV) | ("s390x", EM_S390) | ("ppc64" | "ppc64le", 20 | EM_PPC64)
            );
            if relative { Native::Unsure } else { Native::No }
        }
        _ => Native::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::{Native, native};
    use crate::formats::elf::{Class, Elf};

    fn elf(machine: u16, class: Class) -> Elf {
        Elf { class, little_endian: true, machine, executable: true, interpreter: None, extent: 0, dynamic: None }
    }

    #[test]
    fn a_machine_starts_its_own_programs_and_no_foreign_ones() {
        assert_eq!(native("x86_64", &elf(62, Class::Elf64), None), Native::Yes);
        assert_eq!(native("x86_64", &elf(183, Class::Elf64), None), Native::No);
        assert_eq!(native("aarch64", &elf(62, Class::Elf64), None), Native::No);
    }

    #[test]
    fn programs_of_32_bit_start_only_where_the_kernel_is_known_to_have_them() {
        assert_eq!(native("x86_64", &elf(3, Class::Elf32), Some(true)), Native::Yes);
        assert_eq!(native("x86_64", &elf(3, Class::Elf32), Some(false)), Native::No);
        assert_eq!(native("x86_64", &elf(3, Class::Elf32), None), Native::Unsure);
        assert_eq!(native("aarch64", &elf(40, Class::Elf32), None), Native::Unsure);
        assert_eq!(native("strange", &elf(62, Class::Elf64), None), Native::Unsure);
    }
}
