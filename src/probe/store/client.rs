//! The Nix client on PATH and its version, from its store path or from the package that owns it. It is not run.

use crate::probe::store::is_daemon;
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::Client;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Access, Kind, LookError};

/// The most that is read of dpkg's table and of a package's list.
const STATUS_CAP: usize = 32 << 20;
const LIST_CAP: usize = 4 << 20;
/// Most directories of PATH that are looked into.
const MOST_DIRECTORIES: usize = 256;

/// Looks for the client.
pub(super) fn observe(target: &Target<'_>) -> Client {
    let path = find(target);
    let version = path.as_ref().and_then(|path| version(target, path));
    Client { path, version }
}

/// Major and minor version of the Nix of this context, where they can be told: of the daemon itself, else of the client on PATH.
pub(crate) fn release(target: &Target<'_>) -> Option<(u32, u32)> {
    let version = match &target.process.executable {
        Ok(executable) if target.live && is_daemon(target) => {
            version(target, executable.trim_end_matches(" (deleted)"))
        }
        _ => observe(target).version,
    };
    let mut numbers = version.present()?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

/// The first regular file named `nix` on PATH that this identity may execute, as `execvp(3)` goes. Relative entries depend on a working
/// directory that is not this context's to tell, and are passed over.
fn find(target: &Target<'_>) -> Fact<String> {
    target.variable("PATH").and_then(|list| {
        for directory in list.split(':').filter(|directory| directory.starts_with('/')).take(MOST_DIRECTORIES) {
            let path = format!("{}/nix", directory.trim_end_matches('/'));
            match target.root.look(&path) {
                Ok(seen) if seen.kind == Kind::File => match target.root.effective_access(&path, Access::Execute) {
                    Ok(true) => return Fact::Present(path),
                    Ok(false) => {}
                    Err(error) => return Fact::Unobserved(reason(error)),
                },
                Ok(_) | Err(LookError::NotFound { .. }) => {}
                Err(LookError::Refused { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => {}
                Err(error) => return Fact::Unobserved(reason(error)),
            }
        }
        Fact::Absent
    })
}

fn version(target: &Target<'_>, path: &str) -> Fact<String> {
    if let Some(version) = of_store_path(path) {
        return Fact::Present(version);
    }
    let file = match target.root.resolve(path) {
        Ok(file) => file,
        Err(error) => return Fact::Unobserved(reason(error)),
    };
    match of_store_path(&file) {
        Some(version) => Fact::Present(version),
        None => of_package(target, &file),
    }
}

/// `2.18.1` of `/nix/store/HASH-nix-2.18.1/bin/nix`; the name may carry a vendor before `nix-`.
fn of_store_path(path: &str) -> Option<String> {
    let object = path.split_once("/nix/store/")?.1.split('/').next()?;
    let name = object.get(33..)?;
    let mut parts = name.split('-').skip_while(|part| !part.ends_with("nix") && !part.ends_with("lix")).skip(1);
    let version = parts.find(|part| part.starts_with(|first: char| first.is_ascii_digit()))?;
    version.contains('.').then(|| version.to_owned())
}

/// By dpkg: the version of `nix-bin` if its list names the file. Other package managers are not asked.
fn of_package(target: &Target<'_>, file: &str) -> Fact<String> {
    let unknown = || Fact::Unobserved(Reason::NotEmulated { what: format!("the package of {file}") });
    let list = fact(target.root.read("/var/lib/dpkg/info/nix-bin.list", LIST_CAP));
    let owns = list.map(|text| text.split(|byte| *byte == b'\n').any(|line| line == file.as_bytes()));
    match owns {
        Fact::Present(true) => {}
        Fact::Present(false) | Fact::Absent => return unknown(),
        Fact::Unobserved(reason) => return Fact::Unobserved(reason),
    }
    match fact(target.root.read("/var/lib/dpkg/status", STATUS_CAP)) {
        Fact::Present(text) => of_status(&String::from_utf8_lossy(&text)).map_or_else(unknown, Fact::Present),
        Fact::Absent => unknown(),
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    }
}

/// The upstream version of `nix-bin` (`deb-version(7)`): without epoch, Debian revision and `+dfsg`.
fn of_status(text: &str) -> Option<String> {
    let paragraph = text.split("\n\n").find(|paragraph| paragraph.lines().any(|line| line == "Package: nix-bin"))?;
    let version = paragraph.lines().find_map(|line| line.strip_prefix("Version: "))?;
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    Some(version.split('+').next().unwrap_or(version).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{of_status, of_store_path};

    #[test]
    fn the_version_stands_in_the_store_path() {
        let of = |name: &str| of_store_path(&format!("/nix/store/00000000000000000000000000000000-{name}/bin/nix"));
        assert_eq!(of("nix-2.18.1"), Some("2.18.1".into()));
        assert_eq!(of("nix-2.25.0pre20240920_abc"), Some("2.25.0pre20240920_abc".into()));
        assert_eq!(of("lix-2.91.0"), Some("2.91.0".into()));
        assert_eq!(of("system-path"), None);
        assert_eq!(of_store_path("/usr/bin/nix"), None);
    }

    #[test]
    fn the_version_of_a_package_is_upstreams() {
        let text = "Package: nix-bin-x\nVersion: 9\n\nPackage: nix-bin\nStatus: ok\nVersion: 1:2.8.0+dfsg1-3\n";
        assert_eq!(of_status(text), Some("2.8.0".into()));
    }
}
