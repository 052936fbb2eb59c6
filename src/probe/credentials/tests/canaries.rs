//! Canaries: secrets that must be in nothing that leaves the probe, in no form.

use super::*;

pub(super) fn everything(world: &World) -> String {
    let (credentials, named) = world.look();
    serde_json::to_string(&(credentials, named)).expect("it serializes")
}

/// The forms in which a secret could show.
pub(super) fn forms(secret: &str) -> Vec<String> {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let mut forms = vec![secret.to_owned(), utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()];
    forms.extend([STANDARD.encode(secret), STANDARD_NO_PAD.encode(secret), URL_SAFE.encode(secret)]);
    forms
}

pub(super) fn canary(path: &Path) -> String {
    format!("canary/{}+x", path.display())
}

#[test]
fn no_canary_of_any_file_or_variable_is_in_what_leaves_the_probe() {
    let names = [
        "env",
        "token",
        "host",
        "hosttoken",
        "url",
        "file",
        "config",
        "session",
        "mcfile",
        "mcenv",
        "netrc",
        "nixnetrc",
        "docker",
        "identity",
        "plain",
    ];
    let of = |name: &str| canary(Path::new(name));
    let mut world = World::new(&format!(
        "HOME=/home/me\nAWS_ACCESS_KEY_ID=AK\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\nMC_HOST_m=https://AK:{}:{}@host:9000\nAWS_ENDPOINT_URL=https://k:{}@host/?sig={}\nMC_CONFIG_ENV_FILE=/mcenv",
        of("env"),
        of("token"),
        of("host"),
        of("hosttoken"),
        "canary-url",
        "canary-url",
    ));
    let profile = |name: &str| {
        format!("aws_access_key_id=AK\naws_secret_access_key={}\naws_session_token={}\n", of(name), of("session"))
    };
    world.file("/home/me/.aws/credentials", &format!("[default]\n{}", profile("file")));
    world.file(
        "/home/me/.aws/config",
        &format!("[profile x]\n{}endpoint_url=https://k:canary-url@host\n", profile("config")),
    );
    world.file("/home/me/.mc/config.json", &format!(r#"{{"aliases":{{"a":{{"url":"https://k:canary-url@h","accessKey":"AK","secretKey":"{}","sessionToken":"{}"}}}}}}"#, of("mcfile"), of("session")));
    world.file("/mcenv", &format!("MC_HOST_e=https://AK:{}@host\n", of("mcenv")));
    world.file("/home/me/.netrc", &format!("machine a login b password {}\n", of("netrc")));
    world.file("/etc/nix/netrc", &format!("machine a password \"{}\"\n", of("nixnetrc")));
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{}", of("docker")));
    world.file("/home/me/.docker/config.json", &format!(r#"{{"auths":{{"r":{{"auth":"{auth}"}},"t":{{"identitytoken":"{}"}},"p":{{"username":"me","password":"{}"}}}}}}"#, of("identity"), of("plain")));
    world.nix.netrc_file = Fact::Present("/etc/nix/netrc".into());
    let text = everything(&world);
    // Each file was read: its public half is there.
    for seen in [
        "mc-alias",
        "\"MC_HOST_m\"",
        "/mcenv:1",
        "credentials:2",
        "/etc/nix/netrc:1",
        "/home/me/.netrc:1",
        "\"r\"",
        "AWS profile x",
    ] {
        assert!(text.contains(seen), "{seen} was not read");
    }
    for secret in names.iter().map(|name| of(name)).chain(["canary-url".to_owned(), auth]) {
        for form in forms(&secret) {
            assert!(!text.contains(&form), "{form} leaves the probe");
        }
    }
}

#[test]
fn no_canary_of_a_broken_file_is_in_the_reason() {
    let secret = canary(Path::new("broken"));
    let broken = [
        ("/home/me/.mc/config.json", format!(r#"{{"aliases":{{"a":"{secret}"}}}}"#)),
        ("/home/me/.mc/config.json", format!("{{\"aliases\":{{\"a\":{{\"secretKey\":\"{secret}")),
        ("/home/me/.docker/config.json", format!(r#"{{"auths":"{secret}"}}"#)),
        ("/home/me/.docker/config.json", format!(r#"{{"auths":{{"r":{{"auth":"{secret}"}}}}}}"#)),
        ("/home/me/.netrc", format!("machine a password \"{secret}")),
        ("/home/me/.aws/credentials", format!("[default\n{secret}\naws_secret_access_key {secret}")),
        ("/mcenv", format!("MC_HOST_e={secret}@host\nMC_HOST_f=ftp://AK:{secret}@host")),
    ];
    for (path, text) in broken {
        let world = World::new(&format!(
            "HOME=/home/me\nMC_CONFIG_ENV_FILE=/mcenv\nMC_HOST_x={secret}\nAWS_ENDPOINT_URL={secret}"
        ));
        world.file(path, &text);
        let text = everything(&world);
        for form in forms(&secret) {
            assert!(!text.contains(&form), "{path} shows {form}");
        }
    }
}
