//! `/etc/passwd` and `/etc/group` (`passwd(5)`, `group(5)`), line by line as glibc's `files` module reads them.
//!
//! A line that glibc skips is skipped here: comments, empty lines, numbers that are none, and the `+`/`-` lines of NIS. Fields that are
//! missing at the end of a line are empty (glibc `nss/nss_files/files-parse.c`, `nss/fgetpwent_r.c`, `nss/fgetgrent_r.c`).
//! Whether these files are the only source of users is for `nsswitch.conf` to say, not for this parser.

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory; may be empty.
    pub home: String,
    /// Login shell; empty means `/bin/sh`.
    pub shell: String,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Names of the users that have it as a supplementary group, in the order of the line.
    pub members: Vec<String>,
}

/// The users of a passwd file, in its order. The first of two equal names or ids is the one that a lookup finds.
pub fn users(text: &[u8]) -> Vec<User> {
    lines(text).filter_map(|line| user(&line)).collect()
}

/// The groups of a group file, in its order. The first of two equal names or ids is the one that a lookup finds.
pub fn groups(text: &[u8]) -> Vec<Group> {
    lines(text).filter_map(|line| group(&line)).collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = String> {
    text.split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).trim_ascii_start().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '+', '-', ':']))
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.splitn(7, ':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    let uid = id(fields.next()?)?;
    let gid = id(fields.next()?)?;
    let _comment = fields.next();
    let home = fields.next().unwrap_or_default().to_owned();
    let shell = fields.next().unwrap_or_default().to_owned();
    Some(User { name, uid, gid, home, shell })
}

fn group(line: &str) -> Option<Group> {
    let mut fields = line.splitn(4, ':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    let gid = id(fields.next()?)?;
    let members = fields.next().unwrap_or_default();
    let members = members.split(',').map(str::trim_ascii).filter(|member| !member.is_empty());
    Some(Group { name, gid, members: members.map(str::to_owned).collect() })
}

/// `strtoul(3)`, held to 32 bits as glibc's `strtou32` does: leading blanks and a plus sign are taken, a number that is too large
/// becomes the largest. A negative one is refused here: what glibc makes of it is nobody's user.
fn id(text: &str) -> Option<u32> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Group, User, groups, users};

    fn user(name: &str, uid: u32, gid: u32, home: &str, shell: &str) -> User {
        User { name: name.into(), uid, gid, home: home.into(), shell: shell.into() }
    }

    #[test]
    fn lines_that_glibc_skips_are_no_users() {
        let text = b"# comment\n\nroot:x:0:0:root:/root:/bin/bash\n+nis::::::\nbroken:x:zero:0::/:\nnameonly\n  ci:x:998:997::/home/ci:/bin/sh\nneg:x:-1:0::/:\n";
        let expected = vec![user("root", 0, 0, "/root", "/bin/bash"), user("ci", 998, 997, "/home/ci", "/bin/sh")];
        assert_eq!(users(text), expected);
    }

    #[test]
    fn fields_missing_at_the_end_are_empty() {
        assert_eq!(users(b"nobody:*:65534:65534"), vec![user("nobody", 65534, 65534, "", "")]);
        assert_eq!(
            users(b"big:x:99999999999:1::/h:/s:with:colons"),
            vec![user("big", u32::MAX, 1, "/h", "/s:with:colons")]
        );
    }

    #[test]
    fn members_are_split_at_commas_and_empty_ones_dropped() {
        let expected = Group { name: "docker".into(), gid: 998, members: vec!["ci".into(), "deploy".into()] };
        assert_eq!(groups(b"docker:x:998:ci,, deploy\nbad:x:\n"), vec![expected]);
        assert_eq!(groups(b"users:x:100")[0].members, Vec::<String>::new());
    }

    #[test]
    fn bytes_that_are_no_text_lose_nothing_but_themselves() {
        assert_eq!(users(b"a\xff:x:1:1::/:\nb:x:2:2::/:\n").len(), 2);
    }
}
