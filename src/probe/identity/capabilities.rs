//! Capability sets by name (`capabilities(7)`, `include/uapi/linux/capability.h`).

use rustix::thread::CapabilitySet;

use crate::formats::status::Status;
use crate::snapshot::facts::Capabilities;
use crate::snapshot::{Fact, Reason};
use crate::sys::root::errno_name;

/// In the order of the kernel's numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The names in a set, sorted by number; one that has no name yet is given by its number.
pub(super) fn names(set: u64) -> Vec<String> {
    let bits = (0..64).filter(|bit| set & (1_u64 << bit) != 0);
    bits.map(|bit: usize| NAMES.get(bit).map_or_else(|| format!("cap_{bit}"), |name| format!("cap_{name}"))).collect()
}

/// Those of a process.
pub(super) fn of_status(status: &Status) -> Capabilities {
    Capabilities {
        effective: Fact::Present(names(status.effective)),
        permitted: Fact::Present(names(status.permitted)),
        bounding: Fact::Present(names(status.bounding)),
    }
}

/// Our own, that were taken on.
pub(super) fn own() -> Capabilities {
    let refused = |errno| Reason::Unreadable { path: "capget(2)".into(), errno: errno_name(errno) };
    let (effective, permitted) = match rustix::thread::capabilities(None) {
        Ok(sets) => (Fact::Present(names(sets.effective.bits())), Fact::Present(names(sets.permitted.bits()))),
        Err(errno) => (Fact::Unobserved(refused(errno)), Fact::Unobserved(refused(errno))),
    };
    let mut bounding = 0;
    for bit in 0..NAMES.len() {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // The kernel says EINVAL for capabilities that it does not know.
        if rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false) {
            bounding |= 1 << bit;
        }
    }
    Capabilities { effective, permitted, bounding: Fact::Present(names(bounding)) }
}
