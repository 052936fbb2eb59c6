//! Identity from recorded texts of procfs, and from a real process in a user namespace of its own.

use std::process::{Command, Stdio};

use super::observe;
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::Identity;
use crate::snapshot::{Fact, Reason};
use crate::sys::process::{NamespaceNumber, ProcessDirectory, ProcessTexts};
use crate::sys::{LookError, Root};

const STATUS: &str = "Name:\tjob\nUmask:\t0027\nState:\tS (sleeping)\nPid:\t42\nPPid:\t1\nUid:\t101000\t101000\t101000\t101000\nGid:\t101000\t101000\t101000\t101000\nGroups:\t100999 100100 \nNSpid:\t42\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000001\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

fn texts() -> ProcessTexts {
    let absent = || Err(LookError::NotFound { path: "/proc/42/none".into() });
    ProcessTexts {
        pid: 42,
        status: Ok(STATUS.into()),
        stat: Ok(b"42 (a) b) S 1 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0".to_vec()),
        mountinfo: absent(),
        cgroup: Ok(b"0::/system.slice/gitlab-runner.service\n".to_vec()),
        uid_map: Ok(b"         0     100000      65536\n".to_vec()),
        gid_map: Ok(b"         0     100000      65536\n".to_vec()),
        environ: absent(),
        command_line: absent(),
        executable: Ok("/usr/bin/runner (deleted)".into()),
        tcp: absent(),
        tcp6: absent(),
        udp: absent(),
        udp6: absent(),
        if_inet6: absent(),
        route: absent(),
        namespaces: Vec::new(),
    }
}

struct World {
    directory: tempfile::TempDir,
    process: ProcessTexts,
    environment: Fact<Environment>,
    live: bool,
    incomplete: Vec<String>,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, text).expect("write");
        }
        let environment = Fact::Present(Environment::parse(b"HOME=/home/job\0"));
        Self { directory, process: texts(), environment, live: true, incomplete: Vec::new() }
    }

    fn observe(&self) -> Identity {
        let root = Root::open(self.directory.path()).expect("it can be opened");
        observe(&Target {
            root: &root,
            boot: "boot",
            process: &self.process,
            live: self.live,
            environment: &self.environment,
            wishes: &Wishes::default(),
            key: None,
            locks: &Ok(Vec::new()),
            incomplete: &self.incomplete,
        })
    }
}

const PASSWD: (&str, &str) = ("etc/passwd", "root:x:0:0::/root:/bin/bash\njob:x:1000:1000::/home/passwd:\n");

#[test]
fn ids_of_a_mapped_namespace_are_told_from_inside_and_from_the_host() {
    let found = World::new(&[PASSWD]).observe();
    assert_eq!((found.uid, found.host_uid), (Fact::Present(1000), Fact::Present(101_000)));
    assert_eq!((found.gid, found.host_gid), (Fact::Present(1000), Fact::Present(101_000)));
    assert_eq!(found.groups, Fact::Present(vec![100, 999]));
    assert_eq!(found.passwd.name, Fact::Present("job".into()));
    assert_eq!(found.passwd.shell, Fact::Present("/bin/sh".into()));
    assert_eq!(found.umask, Fact::Present("0027".into()));
    assert_eq!((found.no_new_privs, found.seccomp), (Fact::Present(true), Fact::Present("filter".into())));
}

#[test]
fn capabilities_are_named() {
    let found = World::new(&[]).observe().capabilities;
    assert_eq!(found.effective, Fact::Present(vec!["cap_chown".into()]));
    // Docker's default bounding set.
    let bounding = found.bounding.present().expect("present").join(" ");
    assert_eq!(
        bounding,
        "cap_chown cap_dac_override cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid cap_setpcap cap_net_bind_service cap_net_raw cap_sys_chroot cap_mknod cap_audit_write cap_setfcap"
    );
}

#[test]
fn a_uid_without_entry_is_absent_unless_another_source_may_know_it() {
    let absent = World::new(&[("etc/passwd", "root:x:0:0::/root:/bin/sh\n")]).observe();
    assert_eq!(absent.passwd.name, Fact::Absent);
    let files = ("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    let sss =
        World::new(&[files, ("etc/nsswitch.conf", "passwd: files [NOTFOUND=continue] sss # directory\n")]).observe();
    assert_eq!(sss.passwd.name, Fact::Unobserved(Reason::NotEmulated { what: "the NSS module sss for passwd".into() }));
    let none = World::new(&[]).observe();
    assert_eq!(none.passwd.name, Fact::Absent, "a root without /etc/passwd");
}

#[test]
fn an_entry_that_no_program_would_read_is_not_taken() {
    let found = World::new(&[PASSWD, ("etc/nsswitch.conf", "passwd: ldap\n")]).observe();
    assert!(matches!(found.passwd.name, Fact::Unobserved(Reason::NotEmulated { .. })));
}

#[test]
fn home_is_the_variable_and_else_the_entry() {
    let mut world = World::new(&[PASSWD, ("home/job/.keep", "")]);
    let found = world.observe().home;
    assert_eq!((found.path, found.source), (Fact::Present("/home/job".into()), Fact::Present("environment".into())));
    assert_eq!(found.exists, Fact::Present(true));
    world.environment = Fact::Present(Environment::parse(b"HOME=\0"));
    let found = world.observe().home;
    assert_eq!((found.path, found.source), (Fact::Present("/home/passwd".into()), Fact::Present("passwd".into())));
    assert_eq!((found.exists, found.owner), (Fact::Present(false), Fact::Absent));
}

#[test]
fn what_depends_on_rights_that_were_not_taken_on_is_unobserved() {
    let mut world = World::new(&[("home/job/.keep", "")]);
    world.incomplete = vec!["cap_dac_override".into()];
    let missing = Reason::IdentityIncomplete { missing: "cap_dac_override".into() };
    assert_eq!(world.observe().home.writable, Fact::Unobserved(missing));
}

#[test]
fn a_replaced_executable_and_the_unit_are_told() {
    let found = World::new(&[]).observe().process;
    assert_eq!(found.executable, Fact::Present("/usr/bin/runner".into()));
    assert_eq!(found.replaced, Fact::Present(true));
    assert_eq!(found.unit, Fact::Present("gitlab-runner.service".into()));
    assert!(found.identity.present().is_some());
}

#[test]
fn a_user_without_a_process_has_ids_and_home_and_no_process_facts() {
    let mut world = World::new(&[("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), ("root/.keep", "")]);
    world.live = false;
    world.environment = Fact::Unobserved(Reason::NoProcess);
    world.process.uid_map = Ok(b"0 0 4294967295\n".to_vec());
    world.process.gid_map = Ok(b"0 0 4294967295\n".to_vec());
    let found = world.observe();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!((found.uid, found.host_uid), (Fact::Present(own), Fact::Present(own)));
    assert_eq!(found.process.live, Fact::Present(false));
    assert_eq!((found.process.identity, found.process.unit), (Fact::Absent, Fact::Absent));
    assert_eq!(found.umask, Fact::Unobserved(Reason::NoProcess));
    if own == 0 {
        assert_eq!(found.home.path, Fact::Present("/root".into()));
    }
}

#[test]
fn a_status_that_could_not_be_read_leaves_every_id_unobserved() {
    let mut world = World::new(&[PASSWD]);
    let refused = LookError::Refused { path: "/proc/42/status".into(), errno: "EACCES".into() };
    world.process.status = Err(refused);
    let found = world.observe();
    let reason = Reason::Unreadable { path: "/proc/42/status".into(), errno: "EACCES".into() };
    assert_eq!(found.uid, Fact::Unobserved(reason.clone()));
    assert_eq!(found.passwd.home, Fact::Unobserved(reason.clone()));
    assert_eq!(found.capabilities.bounding, Fact::Unobserved(reason));
}

#[test]
fn a_machine_id_is_told_in_a_form_of_our_own() {
    let id = "0123456789abcdef0123456789abcdef";
    let found = World::new(&[("etc/machine-id", "0123456789abcdef0123456789abcdef\n")]).observe().host.machine;
    let found = found.present().expect("present").clone();
    assert!(found.len() == 32 && found != id);
    assert_eq!(World::new(&[("etc/machine-id", "uninitialized\n")]).observe().host.machine, Fact::Absent);
    assert_eq!(World::new(&[]).observe().host.machine, Fact::Absent);
}

#[test]
fn a_real_process_in_a_user_namespace_is_root_inside_and_its_owner_outside() {
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", "echo ready; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare is part of util-linux");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")), &mut line)
        .expect("a line");
    let mut world = World::new(&[]);
    world.process = ProcessDirectory::open(child.id()).expect("its directory").texts();
    let found = world.observe();
    child.kill().expect("our own child");
    child.wait().expect("it ends");
    assert_eq!(line, "ready\n", "user namespaces are needed for this test");
    assert_eq!(found.uid, Fact::Present(0));
    assert_eq!(found.host_uid, Fact::Present(rustix::process::geteuid().as_raw()));
    let started = *found.process.started.present().expect("present");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(now.as_millis()).expect("before the year 292 million");
    assert!((now - started).abs() < 30_000, "started {started}, now {now}");
    assert_eq!(found.process.replaced, Fact::Present(false));
    assert!(found.capabilities.effective.present().expect("present").contains(&"cap_sys_admin".to_owned()));
    assert!(found.namespaces.user.present().is_some());
}

#[test]
fn a_member_of_a_nested_user_namespace_is_not_told_ids_of_the_host() {
    let mut world = World::new(&[PASSWD]);
    world.live = false;
    world.process.uid_map = Ok(b"0 0 4294967295\n".to_vec());
    world.process.gid_map = Ok(b"0 0 4294967295\n".to_vec());
    let own = rustix::process::geteuid().as_raw();
    let mut host_uid = |inode| {
        world.process.namespaces = vec![("user", Ok(NamespaceNumber { device: 4, inode }))];
        world.observe().host_uid
    };
    assert_eq!(host_uid(4_026_531_837), Fact::Present(own));
    assert!(matches!(host_uid(4_026_532_000), Fact::Unobserved(Reason::NotEmulated { .. })));
}
