//! What answers under the endpoints' names: real caches, private authorities, name servers, proxies and routes, each failing world with its repaired twin.
//! Nix itself, where the image has it, is the oracle.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::doctor::{assert_twins, doctor};
use crate::engine::{Background, Container, docker, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::{BUSYBOX, NIX};
use crate::server::{At, Authority, INFO, Issued, Server, page};

/// The host's address on the default bridge, with a free port.
pub fn bridge() -> At {
    (gateway().parse().expect("an address"), 0)
}

/// A directory whose files containers may read.
pub fn shared() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    directory
}

/// A job with a Nix store of its own that substitutes from here.
pub fn job(directory: &Path, name: &str, substituters: &str, options: &[&str]) -> Container {
    let conf = directory.join(format!("{name}.conf"));
    std::fs::write(&conf, format!("substituters = {substituters}\n")).expect("nix.conf");
    let conf = format!("{}:/etc/nix/nix.conf:ro", conf.display());
    let all: Vec<&str> = JOB.iter().chain(&["-v", &conf]).chain(options).copied().collect();
    Container::run(&format!("parallax-world-{name}"), &all, NIX, SLEEP)
}

/// Whether Nix in this container takes what answers there for a binary cache.
pub fn nix_takes(container: &Container, url: &str) -> bool {
    let command = format!("timeout 20 nix --extra-experimental-features nix-command store ping --store {url} 2>&1");
    container.exec(&["/bin/busybox", "sh", "-c", &format!("/bin/busybox {command}")]).is_ok()
}

/// Runs a program of this machine in a container's network.
pub fn in_network(container: &Container, program: &[&str]) -> Command {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container.name]).expect("a pid");
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid]).args(program);
    command
}

pub fn configure_network(container: &Container, program: &[&str]) {
    let output = in_network(container, program).output().expect("nsenter runs");
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn address_of(container: &Container) -> String {
    docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &container.name]).expect("an address")
}

pub fn a_cache_that_one_job_has_no_route_to() {
    let (directory, cache) = (shared(), Server::cache(bridge()));
    let url = format!("http://{}:{}", gateway(), cache.port);
    let run = |broken: bool| {
        let one = job(directory.path(), "job-a", &url, &[]);
        let two = job(directory.path(), "job-b", &url, &[]);
        if broken {
            configure_network(&two, &["ip", "route", "add", "unreachable", &gateway()]);
        }
        assert!(nix_takes(&one, &url));
        assert_eq!(nix_takes(&two, &url), !broken);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("no-route", &broken, &repaired, "reach/connects", &[&cache.port.to_string()]);
}

pub fn an_authority_in_one_jobs_bundle_only() {
    let directory = shared();
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let server = Server::tls(bridge(), &ours.issue(&gateway(), 2090));
    let url = format!("https://{}:{}", gateway(), server.port);
    let with = ours.bundle(directory.path(), "with.crt");
    let without = other.bundle(directory.path(), "without.crt");
    let run = |second: &Path| {
        let mount = |file: &Path| format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", file.display());
        let one = job(directory.path(), "job-a", &url, &["-v", &mount(&with)]);
        let two = job(directory.path(), "job-b", &url, &["-v", &mount(second)]);
        assert!(nix_takes(&one, &url));
        assert_eq!(nix_takes(&two, &url), second == with);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&without), run(&with));
    assert_twins("private-authority", &broken, &repaired, "reach/trusted-roots", &[&server.port.to_string()]);
    assert_eq!(broken.rows("reach/connects", &[]).iter().filter(|row| row["outcome"] == "incoherent").count(), 0);
}

pub fn a_certificate_that_has_ended() {
    let directory = shared();
    let ours = Authority::new("Parallax World CA");
    let bundle = ours.bundle(directory.path(), "ca.crt");
    let mount = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", bundle.display());
    let mut port = 0;
    let mut run = |year: i32| {
        let server = Server::tls((bridge().0, port), &ours.issue(&gateway(), year));
        port = server.port;
        let url = format!("https://{}:{port}", gateway());
        let job = job(directory.path(), "job", &url, &["-v", &mount]);
        assert_eq!(nix_takes(&job, &url), year > 2030);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(2021), run(2090));
    assert_twins("ended-certificate", &broken, &repaired, "reach/current-certificate", &["(job"]);
}

pub fn a_certificate_that_was_renewed_on_disk_and_not_in_the_process() {
    let directory = shared();
    let ours = Authority::new("Parallax World CA");
    let (old, new) = (ours.issue(&gateway(), 2089), ours.issue(&gateway(), 2090));
    let file = directory.path().join("served.pem");
    std::fs::write(&file, format!("{}{}", new.pem, ours.pem())).expect("a certificate");
    let config = directory.path().join("parallax.toml");
    let mut port = 0;
    let mut run = |serves: &Issued| {
        let server = Server::tls((bridge().0, port), serves);
        port = server.port;
        let text = format!(
            "[[endpoint]]\nname = \"cache\"\nurl = \"https://{}:{port}\"\ncertificate = \"{}\"\n",
            gateway(),
            file.display()
        );
        std::fs::write(&config, text).expect("parallax.toml");
        doctor(&["--config", &config.display().to_string()], &[])
    };
    let (broken, repaired) = (run(&old), run(&new));
    assert_twins("renewed-certificate", &broken, &repaired, "reach/served-certificate", &["host"]);
}

/// A name server in a container's own network, on its loopback, that knows one name.
fn name_server(container: &Container, name: &str, address: &str) -> Background {
    let answer = format!("--host-record={name},{address}");
    let mut command = in_network(
        container,
        &["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"],
    );
    command.args([
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--pid-file=",
        "--local=/parallax-world.test/",
        &answer,
    ]);
    let server = Background(command.spawn().expect("dnsmasq starts"));
    let begun = Instant::now();
    while container.exec(&["nslookup", name, "127.0.0.1"]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "dnsmasq answers");
        std::thread::sleep(Duration::from_millis(100));
    }
    server
}

pub fn a_name_that_each_side_of_a_split_horizon_takes_for_another_service() {
    const NAME: &str = "cache.parallax-world.test";
    let (directory, inside) = (shared(), Server::cache(bridge()));
    let port = inside.port.to_string();
    std::fs::write(directory.path().join("nix-cache-info"), "StoreDir: /nix/store\nPriority: 10\n").expect("a page");
    let pages = format!("{}:/pages:ro", directory.path().display());
    let outside = Container::run(
        "parallax-world-outside",
        &["-v", &pages],
        BUSYBOX,
        &["/bin/httpd", "-f", "-p", &port, "-h", "/pages"],
    );
    let url = format!("http://{NAME}:{port}");
    let run = |second: &str| {
        let one = job(directory.path(), "job-a", &url, &["--dns", "127.0.0.1"]);
        let two = job(directory.path(), "job-b", &url, &["--dns", "127.0.0.1"]);
        let _servers = [name_server(&one, NAME, &gateway()), name_server(&two, NAME, second)];
        assert!(nix_takes(&one, &url) && nix_takes(&two, &url), "each is a cache by itself");
        assert!(two.exec(&["nslookup", NAME, "127.0.0.1"]).expect("an answer").contains(second));
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&address_of(&outside)), run(&gateway()));
    assert_twins("split-horizon", &broken, &repaired, "reach/same-service", &[&port]);
}

pub fn a_proxy_that_one_job_knows_and_the_other_does_not() {
    let (directory, proxy) = (shared(), Server::proxy(bridge()));
    std::fs::write(directory.path().join("nix-cache-info"), INFO).expect("a page");
    let pages = format!("{}:/pages:ro", directory.path().display());
    let cache = Container::run(
        "parallax-world-cache",
        &["-v", &pages],
        BUSYBOX,
        &["/bin/httpd", "-f", "-p", "8080", "-h", "/pages"],
    );
    let far = address_of(&cache);
    let url = format!("http://{far}:8080");
    let variable = format!("http_proxy=http://{}:{}", gateway(), proxy.port);
    let run = |second: &[&str]| {
        let one = job(directory.path(), "job-a", &url, &["-e", &variable]);
        let two = job(directory.path(), "job-b", &url, second);
        for job in [&one, &two] {
            configure_network(job, &["ip", "route", "add", "unreachable", &far]);
        }
        assert!(nix_takes(&one, &url));
        assert_eq!(nix_takes(&two, &url), !second.is_empty());
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&[]), run(&["-e", &variable]));
    assert_twins("one-sided-proxy", &broken, &repaired, "reach/connects", &[&far]);
    let cause = broken.row("reach/proxy", &[&far]);
    assert_eq!(cause["outcome"], "incoherent", "{cause:#}");
    let symptom = broken.row("reach/connects", &[&far]);
    assert_eq!(symptom["caused_by"]["check"], "reach/proxy", "{symptom:#}");
    assert!(proxy.asked().iter().all(|(_, head)| !head.to_ascii_lowercase().contains("authorization")));
}

pub fn a_listener_on_one_family_of_a_localhost_that_is_both() {
    let directory = shared();
    std::fs::write(directory.path().join("nix-cache-info"), INFO).expect("a page");
    let pages = format!("{}:/pages:ro", directory.path().display());
    // As distributions ship it: without it glibc takes the first line of the hosts file alone.
    std::fs::write(directory.path().join("host.conf"), "multi on\n").expect("host.conf");
    let multi = format!("{}:/etc/host.conf:ro", directory.path().join("host.conf").display());
    let run = |listen: &str| {
        let ipv6 = "net.ipv6.conf.all.disable_ipv6=0";
        let options = ["-v", &pages, "-v", &multi, "--sysctl", ipv6];
        let job = job(directory.path(), "job", "http://localhost:8080", &options);
        job.exec(&["/bin/httpd", "-p", listen, "-h", "/pages"]).expect("it listens");
        assert!(nix_takes(&job, "http://localhost:8080"), "curl tries the next address");
        let first = job.exec(&["/bin/busybox", "nc", "-w", "2", "::1", "8080"]);
        assert_eq!(first.is_ok(), listen.starts_with('['), "{first:?}");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run("127.0.0.1:8080"), run("[::]:8080"));
    assert_twins("one-family", &broken, &repaired, "reach/address-family", &["localhost:8080"]);
}

pub fn a_substituter_behind_which_stands_something_else() {
    let directory = shared();
    let mut port = 0;
    let mut run = |is_cache: bool| {
        let at = (bridge().0, port);
        let server = Server::http(at, move |path| page(is_cache && path.ends_with("/nix-cache-info"), "nginx"));
        port = server.port;
        let url = format!("http://{}:{port}", gateway());
        let job = job(directory.path(), "job", &url, &[]);
        assert_eq!(nix_takes(&job, &url), is_cache);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(false), run(true));
    assert_twins("no-cache", &broken, &repaired, "reach/is-a-cache", &["(job"]);
}

pub fn a_variable_that_names_a_bundle_which_only_the_host_has() {
    let directory = shared();
    let ours = Authority::new("Parallax World CA");
    let server = Server::tls(bridge(), &ours.issue(&gateway(), 2090));
    let url = format!("https://{}:{}", gateway(), server.port);
    let mount = format!("{}:/etc/ssl/host.crt:ro", ours.bundle(directory.path(), "host.crt").display());
    let run = |options: &[&str]| {
        let options = [&["-e", "NIX_SSL_CERT_FILE=/etc/ssl/host.crt"][..], options].concat();
        let job = job(directory.path(), "job", &url, &options);
        assert_eq!(nix_takes(&job, &url), options.len() > 2);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&[]), run(&["-v", &mount]));
    assert_twins("bundle-not-there", &broken, &repaired, "reach/bundle-readable", &["NIX_SSL_CERT_FILE", "(job"]);
}

/// What act and Gitea's runner hand into a job: the address of their own cache, as the runner itself would write it. The path is a token.
pub fn a_cache_of_actions_that_the_runner_announces_as_localhost() {
    const TOKEN: &str = "cAnArY-of-the-actions";
    let cache = Server::cache(([0, 0, 0, 0].into(), 0));
    let port = cache.port.to_string();
    let run = |host: &str| {
        let variable = format!("ACTIONS_CACHE_URL=http://{host}:{port}/{TOKEN}/");
        // These runners give the engine's socket to every job.
        let options = ["-v", "/var/run/docker.sock:/var/run/docker.sock", "-e", &variable, "-e", "GITHUB_ACTIONS=true"];
        let job = Container::run("parallax-world-job", &options, NIX, SLEEP);
        let reached = job.exec(&["/bin/busybox", "nc", "-w", "2", host, &port]);
        assert_eq!(reached.is_ok(), host != "localhost", "{reached:?}");
        let report = doctor(&[], &[]);
        assert!(!report.json.to_string().contains(TOKEN) && !report.errors.contains(TOKEN), "no token is printed");
        report
    };
    let (broken, repaired) = (run("localhost"), run(&gateway()));
    assert_twins("actions-cache", &broken, &repaired, "network/loopback-endpoint", &["ACTIONS_CACHE_URL"]);
    assert!(cache.asked().iter().all(|(_, head)| !head.contains(TOKEN)), "the token is not shown to anybody");
}
