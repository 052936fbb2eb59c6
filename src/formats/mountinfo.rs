//! `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`): which mount a place lies on, and what it was mounted from.
//!
//! Written here and not taken from procfs-core, whose reader gives up on the whole table when one name is not UTF-8 and leaves
//! the octal escapes in place: a container chooses its mount points' names.

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Unique id of the mount; what `statx(2)` calls `stx_mnt_id`.
    pub id: u64,
    pub parent: u64,
    pub major: u32,
    pub minor: u32,
    /// The path within its filesystem that is mounted.
    pub root: String,
    /// Where, as the process sees it.
    pub point: String,
    /// Per-mount options, in order.
    pub options: Vec<String>,
    pub filesystem: String,
    pub source: String,
    /// Options of the filesystem itself.
    pub super_options: Vec<String>,
}

impl MountEntry {
    /// Whether the mount or its filesystem is read-only.
    pub fn is_read_only(&self) -> bool {
        let has = |options: &[String]| options.iter().any(|option| option == "ro");
        has(&self.options) || has(&self.super_options)
    }

    /// Whether the per-mount options hold this one.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|option| option == name)
    }
}

/// A line that does not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not a mountinfo line")]
pub struct MountInfoError {
    /// 1-based.
    pub line: u32,
}

/// Reads the table.
pub fn parse(text: &[u8]) -> Result<Vec<MountEntry>, MountInfoError> {
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            entry(&String::from_utf8_lossy(line))
                .ok_or(MountInfoError { line: u32::try_from(index + 1).unwrap_or(u32::MAX) })
        })
        .collect()
}

fn entry(line: &str) -> Option<MountEntry> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let id = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let options = split_options(fields.next()?);
    let mut rest = filesystem.split(' ');
    Some(MountEntry {
        id,
        parent,
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        root,
        point,
        options,
        filesystem: unescape(rest.next()?),
        source: unescape(rest.next()?),
        super_options: split_options(rest.next().unwrap_or_default()),
    })
}

fn split_options(text: &str) -> Vec<String> {
    text.split(',').filter(|option| !option.is_empty()).map(unescape).collect()
}

/// Undoes the kernel's `\ooo` escapes (`mangle_path` in `fs/seq_file.c`).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let value = octal.map(|digits| digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
        match (first, value.and_then(|value| u8::try_from(value).ok())) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{parse, unescape};

    #[test]
    fn a_read_only_bind_mount_shows_its_source_within_the_filesystem() {
        let text = b"89 66 254:0 /srv/nix\\040db /nix/var/nix/db ro,relatime master:1 - ext4 /dev/vda rw,discard\n";
        let table = parse(text).expect("a table");
        let mount = &table[0];
        assert_eq!((mount.id, mount.root.as_str(), mount.point.as_str()), (89, "/srv/nix db", "/nix/var/nix/db"));
        assert!(mount.is_read_only());
        assert_eq!(mount.filesystem, "ext4");
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number() {
        assert_eq!(parse(b"1 2 3:4 / / rw - ext4 x rw\nnonsense\n").map_err(|error| error.line), Err(2));
    }

    #[test]
    fn a_backslash_that_starts_no_escape_stays() {
        assert_eq!(unescape("a\\b\\134\\9"), "a\\b\\\\9");
    }
}
