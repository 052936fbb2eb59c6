//! Which package of this root owns a file: the databases of dpkg and apk, read with caps. Nothing of a package manager runs.
//!
//! rpm and pacman keep theirs in forms that are not read here; where such a database exists, a file in the distribution's own
//! directories may be owned, and that is said as a reason.

use crate::formats::package_lists;
use crate::probe::reason;
use crate::snapshot::{Fact, Reason};
use crate::sys::{LookError, Root};

const DPKG: &str = "/var/lib/dpkg/info";
const APK: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
/// Databases that are not read.
const OTHERS: &[(&str, &str)] = &[
    ("/var/lib/rpm", "the rpm database"),
    ("/usr/lib/sysimage/rpm", "the rpm database"),
    ("/var/lib/pacman/local", "the pacman database"),
];
/// Most packages, and most bytes of their lists altogether.
const PACKAGES: usize = 20_000;
const BYTES: usize = 48 << 20;
const LIST: usize = 8 << 20;
/// Directories that distributions install programs into.
const DIRECTORIES: &[&str] =
    &["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/", "/lib/", "/usr/games/"];

/// The owner of each file, given as its path and what that leads to: the package's name, or absent.
pub(super) fn owners(root: &Root, files: &[(&str, &str)]) -> Vec<Fact<String>> {
    let names: Vec<Vec<String>> = files.iter().map(|(path, real)| spellings(path, real)).collect();
    let mut owners: Vec<Fact<String>> = files.iter().map(|_| Fact::Absent).collect();
    let mut unseen = None;
    for ask in [dpkg, apk] {
        if let Err(reason) = ask(root, &names, &mut owners) {
            unseen = Some(reason);
        }
    }
    for (place, what) in OTHERS {
        if unseen.is_none() && root.look(place).is_ok() {
            unseen = Some(Reason::NotEmulated { what: (*what).to_owned() });
        }
    }
    if let Some(reason) = unseen {
        let open = owners.iter_mut().zip(&names).filter(|(owner, names)| **owner == Fact::Absent && !names.is_empty());
        open.for_each(|(owner, _)| *owner = Fact::Unobserved(reason.clone()));
    }
    owners
}

/// How a package may spell the file: `/bin` may be a link to `/usr/bin`, and lists keep the old names. Empty for files outside
/// of the distribution's directories.
fn spellings(path: &str, real: &str) -> Vec<String> {
    let mut names = Vec::new();
    for name in [real, path] {
        if !DIRECTORIES.iter().any(|directory| name.starts_with(directory)) {
            continue;
        }
        let short = name.strip_prefix("/usr").unwrap_or(name);
        for spelling in [name.to_owned(), short.to_owned(), format!("/usr{short}")] {
            if !names.contains(&spelling) {
                names.push(spelling);
            }
        }
    }
    names
}

/// Packages whose name does not show which programs of a pipeline they hold.
const HOMES: &[&str] = &["coreutils", "docker", "docker-ce-cli", "findutils", "nix-bin", "nodejs", "openssh-client"];

/// The order of reading: a package is often named like its program, so that most lists need not be read at all.
fn rank(package: &str, programs: &[&str]) -> u8 {
    if HOMES.contains(&package) || programs.contains(&package) {
        0
    } else if programs.iter().any(|program| program.starts_with(package)) {
        1
    } else if programs.iter().any(|program| package.starts_with(program)) {
        2
    } else {
        3
    }
}

fn dpkg(root: &Root, names: &[Vec<String>], owners: &mut [Fact<String>]) -> Result<(), Reason> {
    let (mut lists, more) = match root.list(DPKG, PACKAGES * 8) {
        Ok(found) => found,
        Err(LookError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(reason(error)),
    };
    lists.retain(|name| name.ends_with(".list"));
    let programs: Vec<&str> = names.iter().flatten().filter_map(|name| name.rsplit('/').next()).collect();
    lists.sort_by_cached_key(|list| (rank(list.split(['.', ':']).next().unwrap_or_default(), &programs), list.clone()));
    let mut left = BYTES;
    for list in &lists {
        if all_known(names, owners) {
            return Ok(());
        }
        let path = format!("{DPKG}/{list}");
        let bytes = root.read(&path, LIST.min(left)).map_err(reason)?;
        left = left.saturating_sub(bytes.len());
        let package = list.trim_end_matches(".list");
        package_lists::dpkg(&bytes, |file| {
            claim(names, owners, file, package.split(':').next().unwrap_or(package));
        });
    }
    if more { Err(Reason::Truncated { at: (PACKAGES * 8) as u64, what: DPKG.into() }) } else { Ok(()) }
}

fn apk(root: &Root, names: &[Vec<String>], owners: &mut [Fact<String>]) -> Result<(), Reason> {
    for path in APK {
        match root.read(path, BYTES / 3) {
            Ok(bytes) => package_lists::apk(&bytes, |file, package| claim(names, owners, file, package)),
            Err(LookError::NotFound { .. }) => {}
            Err(error) => return Err(reason(error)),
        }
    }
    Ok(())
}

fn all_known(names: &[Vec<String>], owners: &[Fact<String>]) -> bool {
    names.iter().zip(owners).all(|(names, owner)| names.is_empty() || owner.present().is_some())
}

fn claim(names: &[Vec<String>], owners: &mut [Fact<String>], file: &str, package: &str) {
    for (spellings, owner) in names.iter().zip(owners.iter_mut()) {
        if owner.present().is_none() && spellings.iter().any(|name| name == file) {
            *owner = Fact::Present(package.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::owners;
    use crate::snapshot::{Fact, Reason};
    use crate::sys::Root;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, text).expect("write");
        }
        let root = Root::open(directory.path()).expect("it can be opened");
        (directory, root)
    }

    #[test]
    fn a_package_owns_a_file_under_its_old_and_its_merged_name() {
        let (_kept, root) = root(&[
            ("var/lib/dpkg/info/bash.list", "/.\n/bin\n/bin/bash\n"),
            ("var/lib/dpkg/info/zlib1g:amd64.list", "/usr/bin/zed\n"),
        ]);
        let found = owners(
            &root,
            &[
                ("/usr/bin/bash", "/usr/bin/bash"),
                ("/usr/bin/zed", "/usr/bin/zed"),
                ("/usr/local/bin/mc", "/usr/local/bin/mc"),
            ],
        );
        assert_eq!(found, [Fact::Present("bash".into()), Fact::Present("zlib1g".into()), Fact::Absent]);
    }

    #[test]
    fn alpine_owns_by_directory_and_file() {
        let (_kept, root) =
            root(&[("lib/apk/db/installed", "P:busybox\nF:bin\nR:busybox\nR:sh\n\nP:git\nF:usr/bin\nR:git\n")]);
        let found = owners(
            &root,
            &[("/bin/sh", "/bin/busybox"), ("/usr/bin/git", "/usr/bin/git"), ("/usr/bin/jq", "/usr/bin/jq")],
        );
        assert_eq!(found, [Fact::Present("busybox".into()), Fact::Present("git".into()), Fact::Absent]);
    }

    #[test]
    fn a_database_that_is_not_read_leaves_ownership_open_only_where_it_could_own() {
        let (_kept, root) = root(&[("var/lib/rpm/rpmdb.sqlite", "")]);
        let found = owners(&root, &[("/usr/bin/git", "/usr/bin/git"), ("/opt/mc", "/opt/mc")]);
        assert_eq!(found[0], Fact::Unobserved(Reason::NotEmulated { what: "the rpm database".into() }));
        assert_eq!(found[1], Fact::Absent);
    }
}
