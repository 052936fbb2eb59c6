//! `/proc/PID/environ` (`proc_pid_environ(5)`): entries with a NUL after each, as the process was started with them. No I/O.

/// Whether the process wrote over it, as many do to show a title (`setproctitle(3)`): what is left then is no list of variables.
pub fn is_overwritten(text: &[u8]) -> bool {
    let mut entries = text.split(|byte| *byte == 0);
    let first = entries.next().unwrap_or_default();
    // A name has a character at least, and no blank.
    let name = first.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_entry = name.len() < first.len() && !name.is_empty() && !name.contains(&b' ');
    // The end of a title may look like an entry; nothing but zeros follows it.
    let is_alone = entries.clone().count() > 1 && entries.all(<[u8]>::is_empty);
    !text.is_empty() && (!is_entry || is_alone)
}

#[cfg(test)]
mod tests {
    use super::is_overwritten;

    #[test]
    fn an_environment_that_a_process_wrote_its_title_over_is_not_taken_for_a_small_one() {
        let own: [&[u8]; 4] = [b"", b"HOME=/h\0", b"HOME=/h\0PATH=/bin\0", b"TOKEN=\0\0\0\0PATH=/bin\0"];
        assert!(own.iter().all(|text| !is_overwritten(text)));
        let overwritten: [&[u8]; 6] = [
            b"\0\0\0\0",
            b"worker process\0\0\0\0HOME=/h\0",
            b"\0\0HOME=/h\0",
            b"ser: main db=x [idle]\0\0",
            b"ff; error_log stderr;\0\0\0",
            b"r=on\0\0\0",
        ];
        assert!(overwritten.iter().all(|text| is_overwritten(text)));
    }
}
