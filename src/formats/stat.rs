//! `/proc/PID/stat` (`proc_pid_stat(5)`): the start time and the flags of one process.
//!
//! The name stands in parentheses and may hold anything, parentheses and blanks too; what follows the *last* `)` is the kernel's.

/// What is used of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// `comm`, at most 15 bytes for userland processes.
    pub name: String,
    /// One letter, as in [`status`](super::status).
    pub state: char,
    /// Parent's pid.
    pub parent: u32,
    /// `PF_*` of `include/linux/sched.h`.
    pub flags: u32,
    /// When it started, in clock ticks since boot (field 22).
    pub start_ticks: u64,
}

/// `PF_KTHREAD`: a kernel thread.
const KERNEL_THREAD: u32 = 0x0020_0000;

impl Stat {
    /// Whether this is a thread of the kernel's own.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }
}

/// Reads the file; none when it does not follow the format.
pub fn parse(text: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(text);
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // Fields are counted from 1 in proc(5); the third is the first one after the name.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        name,
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        flags: field(9)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_with_parentheses_and_numbers_moves_no_field() {
        let text = b"42 (a) R 9 (b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 10\n";
        let stat = parse(text).expect("a stat line");
        assert_eq!((stat.name.as_str(), stat.state, stat.parent, stat.start_ticks), ("a) R 9 (b", 'S', 7, 123_456));
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn a_kernel_thread_shows_in_the_flags() {
        let text = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 5 0 0 20 0 1 0 19 0 0\n";
        assert!(parse(text).expect("a stat line").is_kernel_thread());
    }

    #[test]
    fn a_line_that_ends_early_is_none() {
        assert_eq!(parse(b"2 (x) S 0 0"), None);
        assert_eq!(parse(b""), None);
    }
}
