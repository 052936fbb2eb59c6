//! Names and endpoints in real network namespaces, with a real name server (dnsmasq) and the own answers of the C library (`getent ahosts` in a chroot) and of Go
//! as the oracle. Needs root, `ip`, `dnsmasq`, `getent` and `chroot`.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::use_debug,
    reason = "a test may fail loudly and says what it skips"
)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parallax::probe::environment::Environment;
use parallax::probe::{Target, Wishes, network};
use parallax::snapshot::endpoint::NamedEndpoint;
use parallax::snapshot::{Fact, Reason, facts};
use parallax::sys::process::ProcessDirectory;
use parallax::sys::{LookError, Root};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A network namespace with `lo` up and a process that lives in it.
struct Space {
    name: String,
    resident: Child,
    server: Option<Child>,
}

impl Space {
    fn new() -> Self {
        let name = format!("parallax-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let resident = Command::new("ip").args(["netns", "exec", &name, "sleep", "120"]).spawn().expect("a resident");
        let space = Self { name, resident, server: None };
        let wanted = std::fs::metadata(format!("/run/netns/{}", space.name)).expect("the namespace");
        let link = format!("/proc/{}/ns/net", space.resident.id());
        wait(|| {
            use std::os::unix::fs::MetadataExt;
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", space.resident.id())).unwrap_or_default();
            comm == "sleep\n" && std::fs::metadata(&link).is_ok_and(|found| found.ino() == wanted.ino())
        });
        space
    }

    /// Starts dnsmasq on port 53 of 127.0.0.1 in here; it knows nothing but what is given.
    fn serve(&mut self, records: &[&str]) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]);
        command.args(["--no-resolv", "--no-hosts", "--no-poll", "--pid-file=", "--user=root", "--local=/test/"]);
        command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"]).args(records);
        self.server = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dnsmasq"));
        let table = format!("/proc/{}/net/tcp", self.resident.id());
        wait(|| std::fs::read_to_string(&table).is_ok_and(|text| text.contains(":0035 00000000:0000 0A")));
    }

    fn observe(&self, root: &Path, named: &[NamedEndpoint]) -> facts::Network {
        let (name, pid) = (self.name.clone(), self.resident.id());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let space = std::fs::File::open(format!("/run/netns/{name}")).expect("the namespace");
                use std::os::fd::AsFd;
                let kind = Some(rustix::thread::LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(space.as_fd(), kind).expect("to join it");
                observe(pid, root, named)
            });
            thread.join().expect("an observation")
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for child in self.server.iter_mut().chain([&mut self.resident]) {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn observe(pid: u32, root: &Path, named: &[NamedEndpoint]) -> facts::Network {
    let process = ProcessDirectory::open(pid).expect("a process").texts();
    let locks = Err(LookError::NotFound { path: "/proc/locks".into() });
    let environment = Fact::Present(Environment::parse(b""));
    let target = Target {
        root: &Root::open(root).expect("a root"),
        boot: "boot",
        process: &process,
        live: true,
        environment: &environment,
        wishes: &Wishes::default(),
        key: None,
        locks: &locks,
        incomplete: &[],
    };
    network::observe(&target, named)
}

/// A root directory with a C library, `getent`, and these files.
fn root(hosts: &str, resolv: &str, nsswitch: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["etc", "usr/bin", "lib64", "lib/x86_64-linux-gnu"] {
        std::fs::create_dir_all(root.path().join(directory)).expect("mkdir");
    }
    std::fs::write(root.path().join("etc/hosts"), hosts).expect("hosts");
    std::fs::write(root.path().join("etc/resolv.conf"), resolv).expect("resolv.conf");
    std::fs::write(root.path().join("etc/nsswitch.conf"), nsswitch).expect("nsswitch.conf");
    for file in ["usr/bin/getent", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"] {
        std::fs::copy(Path::new("/").join(file), root.path().join(file)).expect("a copy");
    }
    root
}

fn named(url: &str) -> NamedEndpoint {
    NamedEndpoint { url: url.into(), named_by: "AWS_ENDPOINT_URL".into(), origin: "AWS_ENDPOINT_URL".into() }
}

fn glibc<'a>(network: &'a facts::Network, name: &str) -> &'a facts::ResolvedName {
    let names = network.names.present().expect("names");
    names.items.iter().find(|found| found.name == name && found.flavour == "glibc").expect("the name")
}

fn endpoint<'a>(network: &'a facts::Network, url: &str) -> &'a facts::Endpoint {
    let endpoints = network.endpoints.present().expect("endpoints");
    endpoints.items.iter().find(|found| found.url == url).expect("the endpoint")
}

/// The addresses that the C library itself gives, sorted.
fn oracle(space: &Space, root: &Path, name: &str) -> Vec<String> {
    let output = Command::new("ip")
        .args(["netns", "exec", &space.name, "chroot"])
        .arg(root)
        .args(["/usr/bin/getent", "--no-addrconfig", "ahosts", name])
        .output()
        .expect("getent");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

fn ours(found: &facts::ResolvedName) -> Vec<String> {
    assert!(found.v4.reason().is_none() && found.v6.reason().is_none(), "{found:?}");
    let mut addresses: Vec<String> =
        found.v4.present().into_iter().chain(found.v6.present()).flatten().cloned().collect();
    addresses.sort();
    addresses
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("it starts");
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn wait(mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !until() {
        assert!(Instant::now() < end, "it never came about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether this machine can run these tests; in CI it must.
fn able(test: &str) -> bool {
    let missing: Vec<&str> = ["ip", "dnsmasq", "getent", "chroot"]
        .into_iter()
        .filter(|program| {
            let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
            !directories.iter().any(|directory| Path::new(directory).join(program).exists())
        })
        .chain((!rustix::process::geteuid().is_root()).then_some("root's rights"))
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs {missing:?}");
    eprintln!("skipped: {test} needs {missing:?}");
    false
}

#[test]
fn a_name_that_only_the_container_knows_is_resolved_there_and_not_on_the_host() {
    if !able("a_name_that_only_the_container_knows_is_resolved_there_and_not_on_the_host") {
        return;
    }
    let mut space = Space::new();
    space.serve(&["--host-record=in-dns.test,10.9.8.7,fd00::7"]);
    let inside = root("127.0.0.1 localhost\n10.1.1.1 in-hosts.test\n", "nameserver 127.0.0.1\n", "hosts: files dns\n");
    let outside = root("127.0.0.1 localhost\n10.2.2.2 on-host.test\n", "nameserver 127.0.0.1\n", "hosts: files dns\n");
    let endpoints = [named("http://in-hosts.test"), named("http://in-dns.test"), named("http://on-host.test")];
    let there = space.observe(inside.path(), &endpoints);
    let here = observe(std::process::id(), outside.path(), &endpoints);

    assert_eq!(glibc(&there, "in-hosts.test").v4, Fact::Present(vec!["10.1.1.1".to_owned()]));
    assert_eq!(glibc(&there, "in-dns.test").v4, Fact::Present(vec!["10.9.8.7".to_owned()]));
    assert_eq!(glibc(&there, "in-dns.test").v6, Fact::Present(vec!["fd00::7".to_owned()]));
    assert_eq!(glibc(&there, "on-host.test").source, Fact::Absent);
    assert_eq!(glibc(&here, "on-host.test").v4, Fact::Present(vec!["10.2.2.2".to_owned()]));
    for name in ["in-hosts.test", "in-dns.test"] {
        assert_eq!(glibc(&here, name).v4.present(), None);
    }
    assert_ne!(here.namespace, there.namespace);
}

#[test]
fn our_answers_are_those_of_the_c_library() {
    if !able("our_answers_are_those_of_the_c_library") {
        return;
    }
    let mut space = Space::new();
    space.serve(&[
        "--host-record=both.test,10.9.8.7,fd00::7",
        "--host-record=four.test,10.9.8.4",
        "--host-record=six.test,fd00::6",
        "--cname=alias.test,both.test",
        "--host-record=short.corp.test,10.9.8.1",
        "--local=/localhost/",
        "--local=/ip6-localhost/short/",
    ]);
    let hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.1.1.1 Mixed.test\n10.1.1.2 four.test\n\
                 ::1 only-six.test\n10.1.1.3 mixed.test # four.test\n";
    let names = [
        "localhost",
        "ip6-localhost",
        "mixed.test",
        "both.test",
        "four.test",
        "six.test",
        "alias.test",
        "short",
        "short.corp.test",
        "nowhere.test",
        "only-six.test",
    ];
    let endpoints = names.map(|name| named(&format!("http://{name}")));
    for (hosts, resolv, nsswitch) in [
        (hosts, "nameserver 127.0.0.1\nsearch corp.test test\n", "hosts: files dns\n"),
        (hosts, "nameserver 127.0.0.1\nsearch corp.test\noptions ndots:3\n", "hosts: dns files\n"),
        (hosts, "nameserver 127.0.0.1\n", "hosts: files [NOTFOUND=return] dns\n"),
        (hosts, "nameserver 127.0.0.1\n", "passwd: files\n"),
        (hosts, "nameserver 127.0.0.1\nsearch corp.test\n", "hosts: files absent [UNAVAIL=return] dns\n"),
        ("", "nameserver 127.0.0.1\nsearch test\n", "hosts: files mdns4_minimal [NOTFOUND=return] dns\n"),
    ] {
        let root = root(hosts, resolv, nsswitch);
        if nsswitch.starts_with("hosts: files dns") {
            std::fs::write(root.path().join("etc/host.conf"), "multi on\n").expect("host.conf");
        }
        let network = space.observe(root.path(), &endpoints);
        for name in names {
            let found = glibc(&network, name);
            assert_eq!(ours(found), oracle(&space, root.path(), name), "{name} with {nsswitch} {resolv} {found:?}");
        }
    }
}

/// The addresses that a static program of Go gives, sorted.
fn oracle_of_go(space: &Space, root: &Path, name: &str) -> Vec<String> {
    let output = Command::new("ip")
        .args(["netns", "exec", &space.name, "chroot"])
        .arg(root)
        .args(["/lookup", name])
        .output()
        .expect("lookup");
    let mut found: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn our_answers_in_a_root_without_a_c_library_are_those_of_a_program_of_go() {
    if !able("our_answers_in_a_root_without_a_c_library_are_those_of_a_program_of_go") {
        return;
    }
    if std::env::var_os("CI").is_none() && Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no go");
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(root.path().join("etc")).expect("mkdir");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/names/lookup.go");
    let mut build = Command::new("go");
    build.env("CGO_ENABLED", "0").args(["build", "-o"]).arg(root.path().join("lookup")).arg(source);
    assert!(build.status().expect("go starts").success(), "go builds it");
    let mut space = Space::new();
    space.serve(&[
        "--host-record=both.test,10.9.8.7,fd00::7",
        "--host-record=six.test,fd00::6",
        "--cname=alias.test,both.test",
        "--host-record=short.corp.test,10.9.8.1",
        "--host-record=a.b.corp.test,10.9.8.2",
        "--local=/localhost/",
        "--local=/short/",
        "--local=/a.b/",
    ]);
    let hosts = "127.0.0.1 localhost\n::1 localhost\n10.1.1.1 Mixed.test\n10.1.1.3 mixed.test # four.test\n";
    let names =
        ["localhost", "mixed.test", "both.test", "six.test", "alias.test", "short", "a.b", "nowhere.test", "BOTH.test"];
    let endpoints = names.map(|name| named(&format!("http://{name}")));
    for (resolv, nsswitch) in [
        ("nameserver 127.0.0.1\nsearch corp.test test\n", None),
        ("nameserver 127.0.0.1\nsearch corp.test\noptions ndots:3\n", Some("hosts: files dns\n")),
        ("nameserver 127.0.0.1\n", Some("passwd: files\n")),
    ] {
        let file = |name: &str| root.path().join("etc").join(name);
        std::fs::write(file("hosts"), hosts).expect("hosts");
        std::fs::write(file("resolv.conf"), resolv).expect("resolv.conf");
        match nsswitch {
            Some(text) => std::fs::write(file("nsswitch.conf"), text).expect("nsswitch.conf"),
            None => drop(std::fs::remove_file(file("nsswitch.conf"))),
        }
        let network = space.observe(root.path(), &endpoints);
        for name in names {
            let of_name = |found: &&facts::ResolvedName| found.name == name.to_lowercase();
            let found = network.names.present().expect("names").items.iter().find(of_name).expect("the name");
            assert_eq!(found.flavour, "go");
            assert_eq!(
                ours(found),
                oracle_of_go(&space, root.path(), name),
                "{name} with {nsswitch:?} {resolv} {found:?}"
            );
        }
    }
}

#[test]
fn a_silent_name_server_costs_little_time_and_is_never_taken_for_no_such_name() {
    if !able("a_silent_name_server_costs_little_time_and_is_never_taken_for_no_such_name") {
        return;
    }
    let space = Space::new();
    let silent = root("", "nameserver 127.0.0.1\n", "hosts: files dns\n");
    // First nobody is bound to port 53, then a socket that never answers.
    let refused = space.observe(silent.path(), &[named("http://a.test")]);
    assert!(glibc(&refused, "a.test").v4.reason().is_some());
    assert_eq!(refused.name_servers.present().expect("servers").items[0].listening, Fact::Present(false));

    let name = space.name.clone();
    let (ready, bound) = std::sync::mpsc::channel();
    let (done, end) = std::sync::mpsc::channel::<()>();
    let mute = std::thread::spawn(move || {
        use std::os::fd::AsFd;
        let space = std::fs::File::open(format!("/run/netns/{name}")).expect("the namespace");
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(space.as_fd(), kind).expect("to join it");
        let _socket = std::net::UdpSocket::bind("127.0.0.1:53").expect("bind");
        ready.send(()).expect("somebody waits");
        let _over = end.recv();
    });
    bound.recv().expect("it is bound");
    let many: Vec<_> = (0..20).map(|number| named(&format!("http://n{number}.test"))).collect();
    let started = Instant::now();
    let network = space.observe(silent.path(), &many);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(matches!(&glibc(&network, "n7.test").v4, Fact::Unobserved(Reason::TimedOut { .. })));
    assert!(endpoint(&network, "http://n7.test").loopback.reason().is_some());
    assert_eq!(network.name_servers.present().expect("servers").items[0].listening, Fact::Present(true));
    drop(done);
    mute.join().expect("it ends");
}

#[test]
fn an_endpoint_on_loopback_is_answered_in_the_namespace_of_its_listener_only() {
    if !able("an_endpoint_on_loopback_is_answered_in_the_namespace_of_its_listener_only") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let urls = [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"), "https://192.0.2.7".to_owned()];
    let endpoints = urls.each_ref().map(|url| named(url));
    let root = root("127.0.0.1 localhost\n::1 localhost\n", "", "hosts: files dns\n");
    let here = observe(std::process::id(), root.path(), &endpoints);
    let there = Space::new().observe(root.path(), &endpoints);
    for url in &urls[..2] {
        assert_eq!(endpoint(&here, url).loopback, Fact::Present(true), "{url}");
        assert_eq!(endpoint(&here, url).listening, Fact::Present(true), "{url}");
        assert_eq!(endpoint(&there, url).loopback, Fact::Present(true), "{url}");
        assert_eq!(endpoint(&there, url).listening, Fact::Present(false), "{url}");
    }
    assert_eq!(endpoint(&here, &urls[2]).loopback, Fact::Present(false));
    assert_eq!(endpoint(&here, &urls[2]).listening, Fact::Absent);
    assert_eq!(there.loopback.up, Fact::Present(true));
    assert_eq!(there.loopback.addresses, Fact::Present(vec!["127.0.0.1".to_owned(), "::1".to_owned()]));
}

#[test]
fn a_process_of_another_namespace_is_not_asked_about_from_ours() {
    if !able("a_process_of_another_namespace_is_not_asked_about_from_ours") {
        return;
    }
    let space = Space::new();
    let root = root("", "nameserver 127.0.0.1\n", "hosts: files dns\n");
    let network = observe(space.resident.id(), root.path(), &[named("http://127.0.0.1:9")]);
    let missing = |reason: Option<&Reason>| matches!(reason, Some(Reason::IdentityIncomplete { .. }));
    assert!(missing(glibc(&network, "localhost").v4.reason()));
    assert!(missing(network.loopback.up.reason()));
    assert!(missing(endpoint(&network, "http://127.0.0.1:9").listening.reason()));
}
