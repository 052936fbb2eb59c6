//! Images, made from trees on this machine: no registry is asked.
//!
//! `parallax-world-busybox`: one static busybox and its links. `parallax-world-nix`: the same and this machine's own Nix with the
//! libraries that it loads. `parallax-world-curl`: that and this machine's curl. `parallax-world-scratch`: one static binary and nothing else.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engine;

pub const BUSYBOX: &str = "parallax-world-busybox";
pub const NIX: &str = "parallax-world-nix";
pub const CURL: &str = "parallax-world-curl";
/// Nix, and this machine's OpenSSH: the client says what parallax has to say, the server is spoken to.
pub const SSH: &str = "parallax-world-ssh";
pub const SCRATCH: &str = "parallax-world-scratch";
/// What a runner works in beside a job: the helper, and a shell for its scripts.
pub const HELPER: &str = "parallax-world-helper";
/// A root directory with a real systemd's configuration and no file of its own.
pub const SYSTEMD: &str = "parallax-world-systemd";

/// Makes those that most worlds need.
pub fn build_all() -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|e| e.to_string())?;
    let text = |e: std::io::Error| e.to_string();
    let busybox = work.path().join("busybox");
    busybox_tree(&busybox).map_err(text)?;
    engine::import(&busybox, BUSYBOX)?;
    nix_on_top(&busybox).map_err(text)?;
    engine::import(&busybox, NIX)?;
    program_on_top(&busybox, Path::new("/usr/bin/curl")).map_err(text)?;
    engine::import(&busybox, CURL)?;
    let scratch = work.path().join("scratch");
    std::fs::create_dir_all(&scratch).map_err(text)?;
    std::fs::copy("/bin/busybox", scratch.join("busybox")).map_err(text)?;
    engine::import(&scratch, SCRATCH)
}

/// Makes the image with OpenSSH, which only its worlds need.
pub fn for_ssh() -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|e| e.to_string())?;
    let text = |e: std::io::Error| e.to_string();
    let tree = work.path().join("ssh");
    busybox_tree(&tree).map_err(text)?;
    nix_on_top(&tree).map_err(text)?;
    for program in ["/usr/bin/ssh", "/usr/sbin/sshd"] {
        program_on_top(&tree, Path::new(program)).map_err(text)?;
    }
    // Where the server shuts itself in, and as whom (sshd(8)).
    std::fs::create_dir_all(tree.join("run/sshd")).map_err(text)?;
    let passwd = std::fs::read_to_string(tree.join("etc/passwd")).map_err(text)?;
    let passwd = format!("{passwd}sshd:x:101:65534::/run/sshd:/bin/false\n");
    std::fs::write(tree.join("etc/passwd"), passwd).map_err(text)?;
    engine::import(&tree, SSH)
}

/// Makes the image that only a runner needs.
pub fn for_runner(helper: &Path) -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|e| e.to_string())?;
    let text = |e: std::io::Error| e.to_string();
    let tree = work.path().join("helper");
    busybox_tree(&tree).map_err(text)?;
    helper_on_top(&tree, helper).map_err(text)?;
    engine::import(&tree, HELPER)
}

/// Adds the helper and the command that a runner starts in its image: a shell whose files everybody may change.
fn helper_on_top(tree: &Path, helper: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::copy(helper, tree.join("usr/bin/gitlab-runner-helper"))?;
    let build = tree.join("usr/bin/gitlab-runner-build");
    std::fs::write(&build, "#!/bin/sh\numask 0000\nexec sh\n")?;
    std::fs::set_permissions(build, std::fs::Permissions::from_mode(0o755))
}

fn busybox_tree(tree: &Path) -> std::io::Result<()> {
    for directory in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "home/job", "usr/bin", "usr/local/bin", "var"]
    {
        std::fs::create_dir_all(tree.join(directory))?;
    }
    std::fs::copy("/bin/busybox", tree.join("bin/busybox"))?;
    for name in [
        "sh", "sleep", "cat", "ls", "id", "nslookup", "httpd", "nc", "env", "grep", "sed", "awk", "tar", "gzip", "cp",
        "mkdir", "test", "true", "rm", "mv", "chmod", "ln", "find", "dirname", "basename", "tr", "head", "date",
        "which", "touch",
    ] {
        symlink("busybox", tree.join("bin").join(name))?;
    }
    std::fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000:job:/home/job:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    std::fs::write(tree.join("etc/group"), "root:x:0:\njob:x:1000:\nnogroup:x:65534:\n")?;
    std::os::unix::fs::chown(tree.join("home/job"), Some(1000), Some(1000))
}

/// Adds `nix` and what it loads, at the same paths as on this machine.
fn nix_on_top(tree: &Path) -> std::io::Result<()> {
    program_on_top(tree, &std::fs::canonicalize("/usr/bin/nix")?)?;
    for name in ["nix-store", "nix-build", "nix-daemon"] {
        let _ = symlink("nix", tree.join("usr/bin").join(name));
    }
    Ok(())
}

/// Adds a program and the libraries that it loads, at the same paths as on this machine.
fn program_on_top(tree: &Path, program: &Path) -> std::io::Result<()> {
    copy_into(tree, program)?;
    let listing = Command::new("ldd").arg(program).output()?;
    let mut libraries = BTreeSet::new();
    for line in String::from_utf8_lossy(&listing.stdout).lines() {
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        libraries.extend(path.map(PathBuf::from));
    }
    for library in libraries {
        copy_into(tree, &library)?;
    }
    Ok(())
}

/// Copies a file to the same path below the tree, its own symbolic links followed.
fn copy_into(tree: &Path, file: &Path) -> std::io::Result<()> {
    let inside = tree.join(file.strip_prefix("/").expect("an absolute path"));
    if let Some(parent) = inside.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::copy(file, inside).map(|_| ())
}
