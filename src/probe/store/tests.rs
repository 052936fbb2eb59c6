//! The store probe in small roots and against hostile servers.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes, nix, store};
use crate::snapshot::facts::Store;
use crate::snapshot::{Fact, Reason};
use crate::sys::Root;
use crate::sys::process::ProcessDirectory;

fn seen(directory: &tempfile::TempDir, environment: &Fact<Environment>, wishes: &Wishes, missing: &[String]) -> Store {
    let root = Root::open(directory.path()).expect("the root");
    let process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
    let target = Target {
        root: &root,
        boot: "boot",
        process: &process,
        live: true,
        environment,
        wishes,
        key: None,
        locks: &Ok(Vec::new()),
        incomplete: missing,
    };
    store::observe(&target, &nix::observe(&target))
}

fn environment(text: &str) -> Fact<Environment> {
    Fact::Present(Environment::parse(text.as_bytes()))
}

fn with_database(header: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("nix/var/nix/db");
    std::fs::create_dir_all(&database).expect("mkdir");
    std::fs::create_dir_all(directory.path().join("nix/var/nix/daemon-socket")).expect("mkdir");
    std::fs::write(database.join("db.sqlite"), header).expect("write");
    std::fs::write(database.join("schema"), "10").expect("write");
    directory
}

fn plain(directory: &tempfile::TempDir) -> Store {
    seen(directory, &environment("HOME=/h"), &Wishes::default(), &[])
}

fn header(version: u8) -> Vec<u8> {
    let mut header = b"SQLite format 3\0".to_vec();
    header.extend([16, 0, version, version]);
    header.resize(100, 0);
    header
}

#[test]
fn the_journal_is_told_from_the_header_and_a_foreign_file_is_no_journal() {
    assert_eq!(plain(&with_database(&header(2))).database.journal, Fact::Present("wal".to_owned()));
    assert_eq!(plain(&with_database(&header(1))).database.journal, Fact::Present("rollback".to_owned()));
    assert_eq!(plain(&with_database(b"")).database.journal, Fact::Absent);
    let foreign = plain(&with_database(b"not a database at all"));
    assert!(matches!(foreign.database.journal, Fact::Unobserved(Reason::Malformed { .. })));
    assert_eq!(foreign.database.schema, Fact::Present(10));
}

#[test]
fn a_root_without_nix_uses_none_and_every_place_is_absent() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = plain(&directory);
    let variables = environment("PATH=/bin:/usr/bin");
    let with_path = seen(&directory, &variables, &Wishes::default(), &[]);
    assert_eq!((with_path.used, with_path.client.path), (Fact::Present(false), Fact::Absent));
    assert_eq!((store.db.exists, store.db.kind, store.db.writable), (Fact::Present(false), Fact::Absent, Fact::Absent));
    assert_eq!(store.daemon.failure, Fact::Present("ENOENT".to_owned()));
    assert_eq!(store.database.lock_holders, Fact::Absent);
}

#[test]
fn a_link_that_leads_nowhere_is_a_symlink_that_does_not_exist() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("nix")).expect("mkdir");
    std::os::unix::fs::symlink("/gone", directory.path().join("nix/store")).expect("symlink");
    let store = plain(&directory);
    assert_eq!((store.dir.exists, store.dir.kind), (Fact::Present(false), Fact::Present("symlink".to_owned())));
}

#[test]
fn without_the_environment_the_choice_is_unobserved_and_the_usual_places_are_seen() {
    let store = seen(&with_database(&header(2)), &Fact::Unobserved(Reason::NoProcess), &Wishes::default(), &[]);
    assert_eq!(store.chosen.kind, Fact::Unobserved(Reason::NoProcess));
    assert_eq!(store.used, Fact::Unobserved(Reason::NoProcess));
    assert_eq!(store.db.exists, Fact::Present(true));
}

#[test]
fn without_the_identity_nothing_is_said_of_what_it_may_do() {
    let missing = ["uid 1000".to_owned()];
    let store = seen(&with_database(&header(2)), &environment("HOME=/h"), &Wishes::default(), &missing);
    let reason = Reason::IdentityIncomplete { missing: "uid 1000".to_owned() };
    assert_eq!(store.db.writable, Fact::Unobserved(reason.clone()));
    assert_eq!(store.database.writable, Fact::Unobserved(reason.clone()));
    assert_eq!(store.daemon.answers, Fact::Unobserved(reason.clone()));
    assert!(matches!(store.chosen.kind, Fact::Unobserved(_)));
}

#[test]
fn a_handshake_that_is_left_out_says_so_and_connects_to_nothing() {
    let directory = with_database(&header(2));
    let socket = directory.path().join("nix/var/nix/daemon-socket/socket");
    let listener = UnixListener::bind(socket).expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let wishes = Wishes { skip_handshake: Some("another child".to_owned()), ..Wishes::default() };
    let store = seen(&directory, &environment("HOME=/h"), &wishes, &[]);
    assert_eq!(store.daemon.answers, Fact::Unobserved(Reason::Disabled { by: "another child".to_owned() }));
    assert_eq!(store.socket.kind, Fact::Present("socket".to_owned()));
    assert!(listener.accept().is_err());
}

#[test]
fn where_there_is_no_socket_nobody_has_to_ask_to_know_that_nothing_answers() {
    let wishes = Wishes { skip_handshake: Some("another child".to_owned()), ..Wishes::default() };
    let store = seen(&with_database(&header(2)), &environment("HOME=/h"), &wishes, &[]);
    assert_eq!(store.daemon.answers, Fact::Present(false));
    assert_eq!(store.daemon.failure, Fact::Present("ENOENT".to_owned()));
}

#[test]
fn a_stale_socket_is_there_and_refuses() {
    let directory = with_database(&header(2));
    drop(UnixListener::bind(directory.path().join("nix/var/nix/daemon-socket/socket")).expect("bind"));
    let store = plain(&directory);
    assert_eq!(store.socket.exists, Fact::Present(true));
    assert_eq!(store.daemon.answers, Fact::Present(false));
    assert_eq!(store.daemon.failure, Fact::Present("ECONNREFUSED".to_owned()));
}

#[test]
fn a_server_that_drips_its_bytes_meets_one_deadline() {
    let directory = with_database(&header(2));
    let listener = UnixListener::bind(directory.path().join("nix/var/nix/daemon-socket/socket")).expect("bind");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let greeting = [0x6f, 0x69, 0x78, 0x64, 0, 0, 0, 0, 0x22, 1, 0, 0, 0, 0, 0, 0];
        for byte in greeting.iter().chain([0; 64].iter()) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let started = Instant::now();
    let store = plain(&directory);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(matches!(store.daemon.answers, Fact::Unobserved(Reason::TimedOut { after_ms: 2000, .. })));
    assert!(store.daemon.server.present().is_some());
    server.join().expect("the server ends");
}

#[test]
fn a_server_of_another_protocol_is_no_daemon() {
    let directory = with_database(&header(2));
    let listener = UnixListener::bind(directory.path().join("nix/var/nix/daemon-socket/socket")).expect("bind");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("write");
    });
    let store = plain(&directory);
    server.join().expect("the server ends");
    assert_eq!(store.daemon.answers, Fact::Present(false));
    assert_eq!(store.daemon.version, Fact::Absent);
}

#[test]
fn a_nonsense_store_setting_is_no_choice() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = seen(&directory, &environment("HOME=/h\0NIX_REMOTE=nonsense"), &Wishes::default(), &[]);
    assert!(matches!(store.chosen.kind, Fact::Unobserved(Reason::Malformed { .. })));
    assert_eq!(store.chosen.origin, Fact::Present("NIX_REMOTE".to_owned()));
}

#[test]
fn a_client_that_no_package_owns_has_no_made_up_version() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let binaries = directory.path().join("nix/store/00000000000000000000000000000000-nix-2.18.1/bin");
    std::fs::create_dir_all(&binaries).expect("mkdir");
    std::fs::create_dir_all(directory.path().join("usr/bin")).expect("mkdir");
    for path in [binaries.join("nix"), directory.path().join("usr/bin/nix")] {
        std::fs::write(&path, "").expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("chmod");
    }
    std::os::unix::fs::symlink(
        "/nix/store/00000000000000000000000000000000-nix-2.18.1/bin",
        directory.path().join("profile"),
    )
    .expect("symlink");
    let client = |path: &str| seen(&directory, &environment(path), &Wishes::default(), &[]).client;
    assert_eq!(client("PATH=/profile:/usr/bin").version, Fact::Present("2.18.1".to_owned()));
    assert!(matches!(client("PATH=/usr/bin").version, Fact::Unobserved(Reason::NotEmulated { .. })));
}

#[test]
fn an_environment_that_could_not_be_read_leaves_open_where_the_store_is() {
    let reason = Reason::Unreadable { path: "/proc/7/environ".to_owned(), errno: "EACCES".to_owned() };
    let store = seen(&with_database(&header(2)), &Fact::Unobserved(reason.clone()), &Wishes::default(), &[]);
    assert_eq!(
        (&store.db.path, &store.db.exists),
        (&Fact::Unobserved(reason.clone()), &Fact::Unobserved(reason.clone()))
    );
    assert_eq!(store.database.journal, Fact::Unobserved(reason.clone()));
    assert_eq!(store.daemon.answers, Fact::Unobserved(reason));
    let garbled = Fact::Present(Environment::parse(b"NIX_STATE_DIR=/\xff\0"));
    let store = seen(&with_database(&header(2)), &garbled, &Wishes::default(), &[]);
    assert!(matches!(store.state.path, Fact::Unobserved(Reason::Malformed { .. })));
}
