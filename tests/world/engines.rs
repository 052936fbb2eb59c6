//! A registry as a job and as the engine that it drives see it. The engine is a real one of its own: another `dockerd`, with its own certificates and, where a
//! world wants it, in another network; what it then answers to `docker pull` is the oracle.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::doctor::{Report, assert_mended, assert_twins, doctor, parallax};
use crate::engine::{Background, Container, docker, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::BUSYBOX;
use crate::minio::Registry;
use crate::reaching::{configure_network, in_network, shared};
use crate::server::Authority;
use crate::user::User;

/// Who drives the engine from this machine.
const USER: &str = "parallax-world";

/// An engine beside this machine's: it runs no container, and its `/etc/docker` is a directory of ours.
struct Second {
    directory: tempfile::TempDir,
    process: Option<Background>,
}

impl Second {
    /// Starts one in the network of this container: an engine without a bridge removes the bridge of the network that it is in.
    fn start(network: &Container) -> Self {
        let directory = shared();
        for name in ["etc", "client"] {
            std::fs::create_dir(directory.path().join(name)).expect("mkdir");
        }
        let at = |name: &str| directory.path().join(name).display().to_string();
        // The options after the name are those of an engine that raises no network.
        let script = format!(
            "mkdir -p /etc/docker && mount --make-rprivate / && mount --bind {} /etc/docker && exec dockerd --host unix://{} --data-root {} --exec-root {} \
             --pidfile {} --bridge none --iptables=false --ip-forward=false --insecure-registry other.parallax.test:5000",
            at("etc"),
            at("docker.sock"),
            at("data"),
            at("exec"),
            at("pid")
        );
        let mut command = in_network(network, &["unshare", "--mount", "sh", "-c", &script]);
        let log = std::fs::File::create(at("log")).expect("a log");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("an engine");
        let second = Self { directory, process: Some(Background(process)) };
        let begun = Instant::now();
        while second.docker(&["version"]).is_err() {
            let said = || std::fs::read_to_string(second.path("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "the second engine answers: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        second
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let host = format!("unix://{}", self.path("docker.sock").display());
        let client = self.path("client").display().to_string();
        docker(&[&["--host", &host, "--config", &client], arguments].concat())
    }

    /// What the engine says when it is to pull from there what nobody has pushed.
    fn pull(&self, registry: &str) -> String {
        self.docker(&["pull", &format!("{registry}/nothing:1")]).expect_err("there is no such image")
    }

    /// Trusts this authority for one registry, or does so no longer.
    fn trust(&self, registry: &str, authority: Option<&Authority>) {
        let directory = self.path("etc").join("certs.d").join(registry);
        let _ = std::fs::remove_dir_all(&directory);
        if let Some(authority) = authority {
            std::fs::create_dir_all(&directory).expect("mkdir");
            std::fs::write(directory.join("ca.crt"), authority.pem()).expect("ca.crt");
        }
    }

    /// A home whose Docker client is logged in at this registry.
    fn home(&self, whose: &str, registry: &str) -> PathBuf {
        let home = self.path(whose);
        std::fs::create_dir_all(home.join(".docker")).expect("mkdir");
        let auth = STANDARD.encode(format!("{}:{}", Registry::LOGIN.0, Registry::LOGIN.1));
        let config = serde_json::json!({"auths": {registry: {"auth": auth}}}).to_string();
        std::fs::write(home.join(".docker/config.json"), &config).expect("docker's configuration");
        std::fs::write(self.path("client").join("config.json"), &config).expect("docker's configuration");
        home
    }

    /// A job that drives it, logged in at this registry, with this bundle.
    fn job(&self, registry: &str, bundle: &Path) -> Container {
        let mounts = [
            format!("{}:/var/run/docker.sock", self.path("docker.sock").display()),
            format!("{}:/root:ro", self.home("root", registry).display()),
            format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", bundle.display()),
        ];
        let mut options = JOB.to_vec();
        mounts.iter().for_each(|mount| options.extend(["-v", mount]));
        Container::run("parallax-world-job", &options, BUSYBOX, SLEEP)
    }

    /// A user of the group `docker` who does the same, and a process of his.
    fn user(&self, registry: &str, bundle: &Path) -> (User, Background) {
        let home = self.home("user", registry);
        let user = User::add(USER, &home);
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--groups", "docker", "sleep", "900"]).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", &home).env("SSL_CERT_FILE", bundle);
        command.env("DOCKER_HOST", format!("unix://{}", self.path("docker.sock").display()));
        (user, Background(command.spawn().expect("setpriv starts")))
    }

    /// Looks, with that user on the chain.
    fn look(&self) -> Report {
        std::fs::write(self.path("parallax.toml"), format!("users = [\"{USER}\"]\n")).expect("parallax.toml");
        doctor(&["--config", &self.path("parallax.toml").display().to_string()], &[])
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // Asked to end, it ends its containerd too.
        let pid = std::fs::read_to_string(self.path("pid")).unwrap_or_default();
        let _ = Command::new("kill").arg(pid.trim()).status();
        let begun = Instant::now();
        if let Some(mut process) = self.process.take() {
            while begun.elapsed() < Duration::from_secs(10) && matches!(process.0.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A registry with an authority of our own, and the second engine in a network of its own.
struct Scene {
    second: Second,
    /// A container in which nothing runs but that engine.
    apart: Container,
    authority: Authority,
    /// What trusts that authority.
    bundle: PathBuf,
    /// The registry's name, as images are called after it.
    name: String,
    _registry: Registry,
    directory: tempfile::TempDir,
}

impl Scene {
    fn set() -> Self {
        let directory = shared();
        let authority = Authority::new("Parallax World CA");
        let registry = Registry::start_tls(&authority.issue(&gateway(), 2090));
        let apart = Container::run("parallax-world-network", &[], BUSYBOX, SLEEP);
        Self {
            second: Second::start(&apart),
            apart,
            bundle: authority.bundle(directory.path(), "ca.crt"),
            name: format!("{}:{}", gateway(), registry.port),
            _registry: registry,
            authority,
            directory,
        }
    }
}

pub fn a_registry_whose_authority_is_in_the_jobs_bundle_and_not_in_the_engines() {
    let scene = Scene::set();
    let (second, name, bundle) = (&scene.second, &scene.name, &scene.bundle);
    let run = |authority: Option<&Authority>| {
        second.trust(name, authority);
        let (_user, _job) = (second.user(name, bundle), second.job(name, bundle));
        let said = second.pull(name);
        assert_eq!(said.contains("x509"), authority.is_none(), "{said}");
        second.look()
    };
    let (broken, repaired) = (run(None), run(Some(&scene.authority)));
    assert_twins("registry-authority", &broken, &repaired, "engine/registry-trusted", &[name, USER]);
    assert_mended(&broken, &repaired, "engine/registry-trusted", &[name, "(job"]);
    let found = broken.with_outcome("incoherent");
    assert!(found.len() == 2 && found.iter().all(|row| row.contains("engine/registry-trusted")), "{found:#?}");
}

pub fn a_registry_that_the_job_reaches_and_its_engine_does_not() {
    let scene = Scene::set();
    let (second, name, bundle) = (&scene.second, &scene.name, &scene.bundle);
    second.trust(name, Some(&scene.authority));
    let run = |broken: bool| {
        let change = if broken { "add" } else { "del" };
        configure_network(&scene.apart, &["ip", "route", change, "unreachable", &gateway()]);
        let _user = second.user(name, bundle);
        let said = second.pull(name);
        assert_eq!(said.contains("no route to host"), broken, "{said}");
        second.look()
    };
    let (broken, repaired) = (run(true), run(false));
    assert_twins("registry-reached", &broken, &repaired, "engine/registry-reached", &[name]);
    let found = broken.with_outcome("incoherent");
    assert!(found.len() == 1 && found[0].contains("engine/registry-reached"), "{found:#?}");
}

/// A process of an ordinary user that calls itself an engine and names the socket of the real one.
pub fn who_only_calls_himself_the_engine_is_asked_of_nobodys_registries() {
    let scene = Scene::set();
    let (second, name, bundle) = (&scene.second, &scene.name, &scene.bundle);
    second.trust(name, Some(&scene.authority));
    let (_user, _process) = second.user(name, bundle);
    let fake = scene.directory.path().join("dockerd");
    std::fs::copy("/bin/bash", &fake).expect("a copy");
    let socket = format!("unix://{}", second.path("docker.sock").display());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--groups", "docker", "bash", "-c"]);
    // Its name and its words are those of an engine; what it does is to wait for a word that never comes.
    command.arg(format!("exec -a dockerd {} -c 'read -r word; true' dockerd -H {socket}", fake.display())).env_clear();
    let fake = command.env("PATH", "/usr/bin:/bin").stdin(Stdio::piped()).spawn().expect("setpriv starts");
    let mut fake = Background(fake);
    std::thread::sleep(Duration::from_millis(300));
    let report = second.look();
    assert!(matches!(fake.0.try_wait(), Ok(None)), "it was there all the time");
    let probe = parallax().args(["probe", "--pid", &fake.0.id().to_string()]).output().expect("parallax runs");
    let snapshot: serde_json::Value = serde_json::from_slice(&probe.stdout).expect("a snapshot");
    let engine = &snapshot["facts"]["engine"];
    assert_eq!((&engine["is_engine"], &engine["socket"]), (&true.into(), &serde_json::Value::Null), "{engine:#}");
    let rows = report.rows("engine/registry-reached", &[name]);
    assert_eq!(rows.len(), 1, "the engine that listens is asked, and nobody else: {rows:#?}");
    assert_eq!(rows[0]["outcome"], "coherent", "{:#}", rows[0]);
}
