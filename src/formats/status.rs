//! `/proc/PID/status` (`proc_pid_status(5)`): ids, groups, capability sets and what else the kernel says of one process.
//!
//! Written here and not taken from procfs-core, whose reader gives up on the whole file when the process gave itself a name that is
//! not UTF-8.

/// What is used of the file. Ids are those of the reader's user namespace; 65534 stands for an unmapped one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `comm`, with the kernel's escapes left in place.
    pub name: String,
    /// File mode creation mask; none before Linux 4.7.
    pub umask: Option<u32>,
    /// One letter: `R`, `S`, `D`, `Z`, `X`, …
    pub state: char,
    /// Parent's pid; 0 for one outside the reader's pid namespace.
    pub parent: u32,
    /// Real, effective, saved and filesystem uid.
    pub uids: [u32; 4],
    /// Real, effective, saved and filesystem gid.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The process's pids, from the reader's namespace inward; empty before Linux 4.1.
    pub pids: Vec<u32>,
    /// Capability sets (`capabilities(7)`).
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
    /// `no_new_privs` (`prctl(2)`); none before Linux 4.10.
    pub no_new_privs: Option<bool>,
    /// 0 disabled, 1 strict, 2 filter; none where the kernel has no seccomp.
    pub seccomp: Option<u32>,
}

/// A field that is not there or does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable {field} line")]
pub struct StatusError {
    /// Its name.
    pub field: &'static str,
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Result<Status, StatusError> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &'static str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim_ascii)
            .ok_or(StatusError { field: name })
    };
    let mask = |name: &'static str| {
        field(name).and_then(|value| u64::from_str_radix(value, 16).map_err(|_| StatusError { field: name }))
    };
    let ids = |name: &'static str| {
        let numbers = numbers(field(name)?);
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or(StatusError { field: name })
    };
    Ok(Status {
        name: field("Name")?.to_owned(),
        umask: field("Umask").ok().and_then(|value| u32::from_str_radix(value, 8).ok()),
        state: field("State")?.chars().next().ok_or(StatusError { field: "State" })?,
        parent: field("PPid")?.parse().map_err(|_| StatusError { field: "PPid" })?,
        uids: ids("Uid")?,
        gids: ids("Gid")?,
        groups: numbers(field("Groups")?).ok_or(StatusError { field: "Groups" })?,
        pids: field("NSpid").ok().and_then(numbers).unwrap_or_default(),
        inheritable: mask("CapInh")?,
        permitted: mask("CapPrm")?,
        effective: mask("CapEff")?,
        bounding: mask("CapBnd")?,
        ambient: mask("CapAmb").unwrap_or(0),
        no_new_privs: field("NoNewPrivs").ok().map(|value| value == "1"),
        seccomp: field("Seccomp").ok().and_then(|value| value.parse().ok()),
    })
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{StatusError, parse};

    const RECORDED: &[u8] = b"Name:\tsh\\nx\xff\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t88\nNgid:\t0\nPid:\t88\nPPid:\t80\nTracerPid:\t0\n\
        Uid:\t1000\t1001\t1002\t1003\nGid:\t100\t100\t100\t100\nFDSize:\t64\nGroups:\t4 998 \nNStgid:\t88\t1\nNSpid:\t88\t1\n\
        CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn a_name_that_is_no_text_hides_nothing_else() {
        let status = parse(RECORDED).expect("a status");
        assert_eq!((status.state, status.parent, status.umask), ('S', 80, Some(0o22)));
        assert_eq!(status.uids, [1000, 1001, 1002, 1003]);
        assert_eq!((status.groups, status.pids), (vec![4, 998], vec![88, 1]));
        assert_eq!((status.effective, status.bounding), (0xa804_25fb, 0xa804_25fb));
        assert_eq!((status.no_new_privs, status.seccomp), (Some(true), Some(2)));
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let text = String::from_utf8_lossy(RECORDED).replace("CapEff", "CapXxx");
        assert_eq!(parse(text.as_bytes()), Err(StatusError { field: "CapEff" }));
        assert_eq!(parse(b""), Err(StatusError { field: "Name" }));
    }

    #[test]
    fn a_name_cannot_pass_for_another_field() {
        // The kernel escapes the newline (fs/proc/array.c, proc_task_name), so the first line of each name is its own.
        let status = parse(&[b"Name:\tUid: 0\n", RECORDED.split_at(11).1].concat()).expect("a status");
        assert_eq!(status.uids[0], 1000);
    }
}
