//! The probe of paths in small roots: what a daemon was told of, what is here of it, and which socket a client takes.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::{AskedPath, NamedAs, PathWishes, observe};
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::{Facts, NamedSocket, Paths, Setting};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::Root;
use crate::sys::process::{ProcessDirectory, ProcessTexts};

struct World {
    directory: tempfile::TempDir,
    process: ProcessTexts,
}

impl World {
    fn new(executable: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
        process.executable = Ok(executable.into());
        Self { directory, process }
    }

    /// A path beneath the root, its directory made.
    fn path(&self, path: &str) -> PathBuf {
        let path = self.directory.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
        path
    }

    fn look(&self, environment: &str, paths: PathWishes, facts: &Facts) -> Paths {
        let root = Root::open(self.directory.path()).expect("the root");
        let target = Target {
            root: &root,
            boot: "boot",
            process: &self.process,
            live: true,
            environment: &Fact::Present(Environment::parse(environment.as_bytes())),
            wishes: &Wishes { paths, ..Wishes::default() },
            key: None,
            locks: &Ok(Vec::new()),
            incomplete: &[],
        };
        observe(&target, facts)
    }

    fn sockets(&self, environment: &str) -> Vec<NamedSocket> {
        let seen = self.look(environment, PathWishes::default(), &Facts::default());
        seen.sockets.present().expect("a list").items.clone()
    }
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.store.dir.path = Fact::Present("/nix/store".into());
    facts.store.gcroots.path = Fact::Present("/nix/var/nix/gcroots".into());
    facts
}

#[test]
fn a_daemon_tells_the_paths_that_clients_registered_and_nobody_else_does() {
    let world = World::new("/usr/bin/nix-daemon");
    for (name, target) in [("b", "/builds/b/result"), ("a", "/builds/a/result"), ("again", "/builds/a/result")] {
        symlink(target, world.path(&format!("/nix/var/nix/gcroots/auto/{name}"))).expect("a link");
    }
    std::fs::write(world.path("/nix/var/nix/gcroots/auto/file"), "").expect("a file");
    let seen = world.look("", PathWishes::default(), &facts());
    let expected = ["/builds/a/result".to_owned(), "/builds/b/result".to_owned()];
    assert_eq!(seen.registered, Fact::Present(List::complete(expected.to_vec())));
    assert!(matches!(seen.seen, Fact::Unobserved(Reason::Disabled { .. })), "others are asked for later");
    let client = World { process: World::new("/usr/bin/nix").process, ..world };
    assert_eq!(client.look("", PathWishes::default(), &facts()).registered, Fact::Absent);
}

#[test]
fn a_daemon_that_was_told_of_too_much_says_that_there_is_more() {
    let world = World::new("/usr/bin/nix-daemon");
    let name = "x".repeat(200);
    for number in 0..600 {
        let target = format!("/{number}/{}", [name.as_str(); 19].join("/"));
        symlink(target, world.path(&format!("/nix/var/nix/gcroots/auto/{number}"))).expect("a link");
    }
    let seen = world.look("", PathWishes::default(), &facts());
    let list = seen.registered.present().expect("a list");
    assert!(matches!(list.more, Some(Reason::Truncated { .. })) && list.items.len() < 600, "{}", list.items.len());
}

#[test]
fn a_path_that_a_link_leads_to_a_served_filesystem_is_left_for_the_child_that_may_wait() {
    let mut world = World::new("/usr/bin/nix");
    std::fs::create_dir_all(world.path("/home/alice/x")).expect("mkdir");
    std::fs::create_dir_all(world.path("/mnt/dead/p")).expect("mkdir");
    symlink("../../srv/nas", world.path("/home/alice/nas")).expect("a link");
    symlink("/mnt/./dead", world.path("/srv/nas")).expect("a link");
    symlink("/home/alice/circle", world.path("/home/alice/circle")).expect("a link");
    for path in ["/mnt/dead/p/result", "/home/alice/result"] {
        symlink("/nix/store/kept", world.path(path)).expect("a link");
    }
    let table = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:99 / /mnt/dead rw - fuse.sshfs nas rw\n";
    world.process.mountinfo = Ok(table.into());
    let asked = ["nas/p/result", "result", "circle/result", "missing/result"]
        .map(|name| AskedPath { path: format!("/home/alice/{name}"), named_as: NamedAs::OwnRoot });
    let look = |waiting: bool| {
        let wishes = PathWishes { asked: Some(asked.to_vec()), waiting, ..PathWishes::default() };
        let list = world.look("", wishes, &facts()).seen.present().expect("a list").clone();
        (list.items.into_iter().map(|one| one.path).collect::<Vec<_>>(), list.more.is_some())
    };
    let (now, more) = look(false);
    assert_eq!(now, ["/home/alice/result", "/home/alice/circle/result", "/home/alice/missing/result"]);
    assert!(more, "the rest is left for later");
    assert_eq!(look(true), (vec!["/home/alice/nas/p/result".to_owned()], false));
}

#[test]
fn a_root_is_live_where_it_is_a_link_to_an_object_that_is_there() {
    let world = World::new("/usr/bin/nix");
    std::fs::write(world.path("/nix/store/kept"), "").expect("an object");
    for (name, target) in [("live", "/nix/store/kept"), ("gone", "/nix/store/gone"), ("away", "/etc/passwd")] {
        symlink(target, world.path(&format!("/builds/{name}"))).expect("a link");
    }
    std::fs::write(world.path("/builds/file"), "").expect("a file");
    let asked = ["live", "gone", "away", "file", "missing"]
        .map(|name| AskedPath { path: format!("/builds/{name}"), named_as: NamedAs::RootOfDaemon });
    let own = asked.clone().map(|asked| AskedPath { named_as: NamedAs::OwnRoot, ..asked });
    let look = |asked: Vec<AskedPath>| {
        let seen = world.look("", PathWishes { asked: Some(asked), ..PathWishes::default() }, &facts()).seen;
        let list = seen.present().expect("a list").clone();
        assert_eq!(list.more, None);
        list.items.into_iter().map(|one| (one.path, one.live, one.exists)).collect::<Vec<_>>()
    };
    let of_client = look(asked.to_vec());
    let live: Vec<bool> = of_client.iter().map(|(_, live, _)| *live == Fact::Present(true)).collect();
    assert_eq!(live, [true, false, false, false], "a client holds no word on what is not there");
    let of_daemon = look(own.to_vec());
    assert_eq!(of_daemon.last().map(|last| last.2.clone()), Some(Fact::Present(false)), "the daemon does");
}

#[test]
fn what_is_asked_of_others_filesystems_is_left_for_a_child_that_waits() {
    let mut world = World::new("/usr/bin/nix");
    let line = "5 1 0:99 / /mnt/far rw - fuse.sshfs far rw\n4 1 8:1 / / rw - ext4 /dev/sda rw\n";
    world.process.mountinfo = Ok(line.as_bytes().to_vec());
    let asked =
        ["/mnt/far/netrc", "/mnt/farther/netrc"].map(|path| AskedPath { path: path.into(), named_as: NamedAs::File });
    let look = |waiting| {
        let wishes = PathWishes { asked: Some(asked.to_vec()), waiting, ..PathWishes::default() };
        let list = world.look("", wishes, &facts()).seen.present().expect("a list").clone();
        (list.items.into_iter().map(|one| one.path).collect::<Vec<_>>(), list.more.is_some())
    };
    assert_eq!(look(false), (vec!["/mnt/farther/netrc".to_owned()], true));
    assert_eq!(look(true), (vec!["/mnt/far/netrc".to_owned()], false));
}

#[test]
fn docker_s_client_takes_its_variable_before_its_context_and_both_before_its_default() {
    let world = World::new("/usr/bin/sh");
    let named = |environment: &str| -> Vec<(String, String)> {
        world.sockets(environment).into_iter().map(|socket| (socket.named_by, socket.path)).collect()
    };
    let pair = |by: &str, path: &str| vec![(by.to_owned(), path.to_owned())];
    assert!(named("HOME=/root").is_empty(), "whoever has no Docker misses no socket");
    std::fs::write(world.path("/var/run/docker.sock"), "").expect("a file");
    assert_eq!(named("HOME=/root"), pair("docker", "/var/run/docker.sock"));
    // `docker context create rootless --docker host=unix:///run/user/1000/docker.sock`, `docker context use rootless`.
    std::fs::write(world.path("/root/.docker/config.json"), r#"{"currentContext": "rootless"}"#).expect("a file");
    assert!(named("HOME=/root").is_empty(), "its context is not there");
    use sha2::Digest;
    let hash: String = sha2::Sha256::digest("rootless").iter().map(|byte| format!("{byte:02x}")).collect();
    let host =
        r#"{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock"}}}"#;
    std::fs::write(world.path(&format!("/root/.docker/contexts/meta/{hash}/meta.json")), host).expect("a file");
    assert_eq!(named("HOME=/root"), pair("docker context", "/run/user/1000/docker.sock"));
    assert_eq!(named("HOME=/root\0DOCKER_CONTEXT=default"), pair("docker", "/var/run/docker.sock"));
    assert_eq!(named("HOME=/root\0DOCKER_HOST=unix:///e.sock"), pair("DOCKER_HOST", "/e.sock"));
    assert!(named("HOME=/root\0DOCKER_HOST=tcp://docker:2376").is_empty(), "an engine over TCP is an endpoint");
    assert_eq!(
        named("HOME=/x\0DOCKER_HOST=tcp://d:1\0CONTAINER_HOST=unix:///p.sock"),
        pair("CONTAINER_HOST", "/p.sock")
    );
    let endless = format!("DOCKER_HOST=unix:///{}", "x".repeat(5000));
    assert!(named(&endless).is_empty(), "no path is that long");
}

#[test]
fn a_socket_says_why_nobody_answers() {
    let world = World::new("/usr/bin/sh");
    let failure = || {
        let socket = world.sockets("DOCKER_HOST=unix:///run/docker.sock").remove(0);
        (socket.connects.present() == Some(&true), socket.failure.present().cloned(), socket.kind.present().cloned())
    };
    let no = |failure: &str, kind: Option<&str>| (false, Some(failure.to_owned()), kind.map(str::to_owned));
    assert_eq!(failure(), no("ENOENT", None));
    let path = world.path("/run/docker.sock");
    std::fs::create_dir(&path).expect("mkdir");
    assert_eq!(failure(), no("not a socket", Some("directory")));
    std::fs::remove_dir(&path).expect("rmdir");
    let listener = UnixListener::bind(&path).expect("a listener");
    assert_eq!(failure(), (true, None, Some("socket".into())));
    drop(listener);
    assert_eq!(failure(), no("ECONNREFUSED", Some("socket")));
}

#[test]
fn files_of_settings_are_those_that_somebody_wrote() {
    let world = World::new("/usr/bin/nix");
    std::fs::write(world.path("/etc/nix/netrc"), "machine m").expect("a file");
    let setting = |name: &str, value: &str, level: &str| Setting {
        name: name.into(),
        value: Fact::Present(value.into()),
        origins: vec!["/etc/nix/nix.conf:1".into()],
        level: level.into(),
    };
    let mut facts = facts();
    facts.nix.settings = Fact::Present(List::complete(vec![
        setting("netrc-file", "/etc/nix/netrc", "system"),
        setting("secret-key-files", "/a /b relative", "user"),
        setting("substituters", "/srv/cache", "user"),
    ]));
    let seen = world.look("", PathWishes::default(), &facts).files;
    let files = &seen.present().expect("a list").items;
    let paths: Vec<(&str, bool)> =
        files.iter().map(|file| (file.path.as_str(), file.readable.present() == Some(&true))).collect();
    assert_eq!(paths, [("/etc/nix/netrc", true), ("/a", false), ("/b", false)]);
    assert_eq!(files[1].exists, Fact::Present(false));
}
