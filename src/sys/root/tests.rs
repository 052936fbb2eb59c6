//! What reading beneath a root keeps to, held against directories made for the test.

use super::{Kind, LookError, Root};
use std::os::unix::fs::symlink;

fn root() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::open(directory.path()).expect("it can be opened");
    (directory, root)
}

#[test]
fn an_absolute_symlink_stays_beneath_the_root() {
    let (directory, root) = root();
    std::fs::create_dir(directory.path().join("etc")).expect("mkdir");
    std::fs::write(directory.path().join("etc/inside"), "inside").expect("write");
    symlink("/etc/inside", directory.path().join("link")).expect("symlink");
    symlink("../../../../etc/inside", directory.path().join("etc/climb")).expect("symlink");
    assert_eq!(root.read("/link", 100), Ok(b"inside".to_vec()));
    assert_eq!(root.read("/etc/climb", 100), Ok(b"inside".to_vec()));
    assert_eq!(root.resolve("/link"), Ok("/etc/inside".to_owned()));
    assert!(matches!(root.read("/etc/passwd", 100), Err(LookError::NotFound { .. })));
}

#[test]
fn a_fifo_is_named_and_never_opened() {
    let (directory, root) = root();
    nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert_eq!(root.read("/pipe", 100), Err(LookError::NotRegular { path: "/pipe".into(), found: "fifo" }));
    assert_eq!(root.look("/pipe").map(|seen| seen.kind), Ok(Kind::Fifo));
}

#[test]
fn a_file_longer_than_the_cap_is_refused_and_not_cut() {
    let (directory, root) = root();
    std::fs::write(directory.path().join("long"), vec![b'x'; 101]).expect("write");
    assert_eq!(root.read("/long", 100), Err(LookError::TooLong { path: "/long".into(), cap: 100 }));
    assert_eq!(root.read_start("/long", 3), Ok(b"xxx".to_vec()));
}

#[test]
fn files_of_procfs_are_not_followed() {
    let root = Root::open("/").expect("the own root");
    assert!(matches!(root.read("/proc/self/status", 100_000), Err(LookError::NotRegular { .. })));
}

#[test]
fn a_link_that_gets_lost_in_procfs_is_not_taken_for_missing() {
    let (directory, _) = root();
    let own = Root::open("/").expect("the own root");
    let place = |name: &str, target: &str| {
        let link = directory.path().join(name);
        symlink(target, &link).expect("a link");
        link.display().to_string()
    };
    // As /proc/self is for one who is not in that pid namespace.
    let lost = place("lost", "/proc/4194305/root/etc/passwd");
    assert!(matches!(own.look(&lost), Err(LookError::NotRegular { .. })));
    let dangling = place("dangling", "/nonexistent/file");
    assert_eq!(own.look(&dangling), Err(LookError::NotFound { path: dangling.clone() }));
    let ring = place("ring", &directory.path().join("ring").display().to_string());
    assert!(matches!(own.look(&ring), Err(LookError::Refused { .. })));
}

#[test]
fn every_filesystem_that_the_kernel_makes_up_is_refused_and_a_disk_is_not() {
    // cgroup2 as a signed word of 32 bits, as some architectures have it, and bpf, whose highest bit is set.
    let bpf = i64::from(i32::from_ne_bytes(0xcafe_4a11_u32.to_ne_bytes()));
    assert!([0x6367_7270, bpf, 0x7472_6163, 0x6462_6720].into_iter().all(super::is_kernel_kind));
    // ext, btrfs, xfs, tmpfs, overlay, nfs, fuse.
    let disks = [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x6969, 0x6573_5546];
    assert!(!disks.into_iter().any(super::is_kernel_kind));
}
