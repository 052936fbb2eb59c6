//! Who is shown a credential: its own endpoint, and nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::canaries::{Nest, Watch, assert_clean};
use crate::doctor::{doctor, parallax};
use crate::engine::{Container, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::BUSYBOX;
use crate::reaching::shared;
use crate::server::{At, Authority, Server, page};

fn bridge() -> At {
    (gateway().parse().expect("an address"), 0)
}

/// Sends everybody who asks elsewhere.
fn redirecting(to: u16) -> Server {
    let elsewhere = format!("http://{}:{to}/", gateway());
    Server::http(bridge(), move |_| {
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    })
}

/// A registry that names somebody else as the judge of logins.
fn registry_judged_by(port: u16) -> Server {
    let realm = format!("http://{}:{port}/token", gateway());
    Server::http(bridge(), move |_| {
        format!(
            "HTTP/1.1 401 Unauthorized\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\n\
             WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\nConnection: close\r\n\r\n"
        )
    })
}

fn authorizations(server: &Server) -> Vec<String> {
    let asked = server.asked().into_iter();
    asked.map(|(_, head)| head).filter(|head| head.to_ascii_lowercase().contains("\r\nauthorization:")).collect()
}

pub fn a_credential_is_shown_to_its_own_endpoint_and_to_nobody_else() {
    let nest = &mut Nest(0);
    let catcher = Server::http(bridge(), |_| page(false, "catcher"));
    let (own, registry) = (redirecting(catcher.port), registry_judged_by(catcher.port));
    let unknown = Server::tls(bridge(), &Authority::new("nobody knows it").issue(&gateway(), 2090));
    let home = shared();
    let auth = STANDARD.encode(format!("ci:{}", nest.egg()));
    let auths = json!({"auths": {format!("http://{}:{}", gateway(), registry.port): {"auth": auth}}});
    std::fs::create_dir(home.path().join(".docker")).expect("mkdir");
    std::fs::write(home.path().join(".docker/config.json"), auths.to_string()).expect("docker's configuration");
    let at = |port: u16| format!("{}:{port}", gateway());
    let variables = [
        format!("MC_HOST_own=http://OWNKEY:{}:{}@{}", nest.egg(), nest.egg(), at(own.port)),
        format!("MC_HOST_tls=https://TLSKEY:{}@{}", nest.egg(), at(unknown.port)),
        // A key without an endpoint, beside endpoints that are not for it.
        "AWS_ACCESS_KEY_ID=LOOSEKEY".to_owned(),
        format!("AWS_SECRET_ACCESS_KEY={}", nest.egg()),
        format!("CI_SERVER_URL=http://{}", at(catcher.port)),
        format!("NIX_CONFIG=substituters = http://{}", at(catcher.port)),
    ];
    let mount = format!("{}:/root:ro", home.path().display());
    let mut options: Vec<&str> = JOB.iter().copied().chain(["-v", &mount]).collect();
    options.extend(variables.iter().flat_map(|variable| ["-e", variable.as_str()]));
    let container = Container::run("parallax-world-job", &options, BUSYBOX, SLEEP);

    let watch = Watch::begin();
    let published = home.path().join("published").display().to_string();
    for arguments in [
        vec!["doctor", "--no-credentials", "--format", "json"],
        vec!["probe", "--no-credentials", "--container", "parallax-world-job"],
    ] {
        assert_clean("a run", &parallax().args(&arguments).output().expect("parallax runs").stdout);
    }
    let all = [&own, &catcher, &registry, &unknown];
    assert!(all.iter().all(|server| authorizations(server).is_empty()), "--no-credentials shows none");
    assert!(!own.asked().is_empty(), "and endpoints are asked all the same");

    for arguments in [
        vec!["doctor", "-v", "--publish", &published],
        vec!["doctor", "--format", "json"],
        vec!["probe", "--container", "parallax-world-job"],
    ] {
        let output = parallax().args(&arguments).output().expect("parallax runs");
        assert_clean("stdout", &output.stdout);
        assert_clean("stderr", &output.stderr);
        if arguments[0] == "probe" {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("\"redirected\"") && text.contains("OWNKEY"), "{text}");
            assert!(!text.contains("LOOSEKEY at"), "{text}");
        }
    }
    assert!(watch.end() > 0, "the children were seen");
    for entry in std::fs::read_dir(&published).expect("views").flatten() {
        assert_clean("a published view", &std::fs::read(entry.path()).expect("a view"));
    }
    let shown = authorizations(&own);
    assert!(!shown.is_empty(), "its own endpoint is shown the key");
    for head in shown {
        assert!(head.contains("Credential=OWNKEY/"), "{head}");
        // The session token is part of the question; the secret key never is.
        assert_eq!(head.matches(Nest::MARK).count(), 1, "{head}");
        assert!(head.to_ascii_lowercase().contains("x-amz-security-token:"), "{head}");
    }
    for (server, who) in [(&catcher, "the catcher"), (&registry, "the registry"), (&unknown, "the unknown certificate")]
    {
        for (_, head) in server.asked() {
            assert!(!head.to_ascii_lowercase().contains("authorization:"), "{who} was shown a credential: {head}");
            assert_clean(who, head.as_bytes());
        }
    }
    doctor(&["--no-credentials"], &[]).keep("no-credentials");
    drop(container);
}

/// Says of every question that it needs a login.
fn asks_for_a_login(_: &str) -> String {
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
}

pub fn a_login_for_a_cache_is_said_over_tls_only_where_the_clients_bundle_trusts_the_chain() {
    let (nest, home) = (&mut Nest(0), shared());
    let (ours, other) = (Authority::new("Parallax World CA"), Authority::new("Another CA"));
    let bundle = ours.bundle(home.path(), "ca.crt").display().to_string();
    let served = |certificate| Server::https(bridge(), &certificate, asks_for_a_login);
    let trusted = served(ours.issue(&gateway(), 2090));
    let unknown = served(other.issue(&gateway(), 2090));
    let misnamed = served(ours.issue("elsewhere.parallax.invalid", 2090));
    let ended = served(ours.issue(&gateway(), 2021));
    let (bucket, cachix) = (served(other.issue(&gateway(), 2090)), served(other.issue(&gateway(), 2090)));
    let write = |name: &str, text: String| {
        let file = home.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("mkdir");
        std::fs::write(&file, text).expect("written");
        file.display().to_string()
    };
    let netrc = write("netrc", format!("machine {} login ci password {}\n", gateway(), nest.egg()));
    let at = |server: &Server| format!("{}:{}", gateway(), server.port);
    let urls = [&trusted, &unknown, &misnamed, &ended].map(|server| format!("https://{}", at(server))).join(" ");
    write("nix.conf", format!("substituters = {urls} s3://cache?endpoint={}\nnetrc-file = {netrc}\n", at(&bucket)));
    write(
        ".config/cachix/cachix.dhall",
        format!(
            "{{ authToken = \"{}\"\n, hostname = \"https://{}\"\n, binaryCaches = [ {{ name = \"team\", secretKey = \"{}\" }} ]\n}}\n",
            nest.egg(),
            at(&cachix),
            nest.egg()
        ),
    );
    let output = parallax()
        .arg("probe")
        .env("HOME", home.path())
        .env("NIX_CONF_DIR", home.path())
        .env("NIX_SSL_CERT_FILE", &bundle)
        .env("SSL_CERT_FILE", &bundle)
        .env("AWS_ACCESS_KEY_ID", "BUCKETKEY")
        .env("AWS_SECRET_ACCESS_KEY", nest.egg())
        .output()
        .expect("parallax runs");
    assert_clean("stdout", &output.stdout);
    assert_clean("stderr", &output.stderr);
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    let caches = snapshot["facts"]["caches"]["served"].as_array().expect("caches");
    assert_eq!(caches[0]["admitted"], false, "{:#}", caches[0]);
    assert!(!authorizations(&trusted).is_empty(), "whom the bundle trusts is shown the login: {caches:#?}");
    for (at, server) in [&unknown, &misnamed, &ended].into_iter().enumerate() {
        let cache = &caches[at + 1];
        assert_eq!(cache["status"], 401, "asked without a login: {cache:#}");
        assert!(cache.get("login_status").is_none() && cache.get("admitted").is_none(), "unobserved: {cache:#}");
        assert!(authorizations(server).is_empty(), "{:?}", authorizations(server));
    }
    assert!(caches[4].get("admitted").is_none(), "unobserved: {:#}", caches[4]);
    assert!(snapshot["facts"]["caches"]["cachix_caches"][0].get("status").is_none(), "unobserved");
    for server in [&bucket, &cachix] {
        assert!(authorizations(server).is_empty(), "{:?}", authorizations(server));
    }
}
