//! `/proc/locks` (`proc_locks(5)`): who holds which lock on which file.
//!
//! Device numbers are hexadecimal here and decimal in mountinfo; the inode is decimal in both. Lines of waiters (`->`) are left out: they
//! hold nothing.

/// One lock that is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    /// `FLOCK`, `POSIX`, `OFDLCK`, `LEASE`.
    pub class: String,
    /// Whether it is a write lock.
    pub write: bool,
    /// In the pid namespace of the procfs that was read; `None` for locks that belong to no process (`-1`).
    pub pid: Option<u32>,
    pub major: u32,
    pub minor: u32,
    pub inode: u64,
}

/// Reads the table. Lines that do not follow the format are left out: the kernel writes none.
pub fn parse(text: &[u8]) -> Vec<Lock> {
    String::from_utf8_lossy(text).lines().filter_map(lock).collect()
}

fn lock(line: &str) -> Option<Lock> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let class = fields.next().filter(|class| *class != "->")?.to_owned();
    let _advisory = fields.next()?;
    let write = matches!(fields.next()?, "WRITE" | "RW");
    let pid = fields.next()?.parse().ok();
    let mut file = fields.next()?.splitn(3, ':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    Some(Lock { class, write, pid, major, minor, inode: file.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Lock, parse};

    #[test]
    fn the_device_is_hexadecimal_and_waiters_hold_nothing() {
        let text =
            b"1: POSIX  ADVISORY  WRITE 3568 fe:10:2531452 0 EOF\n1: -> POSIX ADVISORY WRITE 77 fe:10:2531452 0 EOF\n\
            2: OFDLCK ADVISORY  READ -1 00:06:1028 0 EOF\nnonsense\n";
        let locks = parse(text);
        let first =
            Lock { class: "POSIX".into(), write: true, pid: Some(3568), major: 254, minor: 16, inode: 2_531_452 };
        assert_eq!(locks[0], first);
        assert_eq!(locks[1].pid, None);
        assert_eq!(locks.len(), 2);
    }
}
