//! Logins in the configuration of Docker's client: `DOCKER_CONFIG`, else `~/.docker`. No helper is run.

use secrecy::ExposeSecret;

use super::files::Files;
use super::{Held, capped, fingerprint, lacks, login_name, unread_environment};
use crate::formats::docker_config::{self, Holder, Login};
use crate::snapshot::facts::RegistryLogin;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// The logins, sorted by registry.
pub(super) fn observe(files: &mut Files<'_>) -> List<Held<RegistryLogin>> {
    let mut logins = List { items: Vec::new(), more: unread_environment(files.target) };
    let stated = match files.named("DOCKER_CONFIG", "/config.json") {
        Fact::Absent => files.beneath_home(".docker/config.json"),
        Fact::Unobserved(_) if files.target.environment.present().is_none() => {
            files.beneath_home(".docker/config.json")
        }
        stated => stated,
    };
    let content = match stated {
        Fact::Present(stated) => files.read("docker", &stated).map(|text| (stated.path, text)),
        Fact::Absent => Fact::Absent,
        Fact::Unobserved(reason) => Fact::Unobserved(reason),
    };
    match content {
        Fact::Present((path, text)) => match docker_config::parse(text.expose()) {
            Ok(read) => {
                let read = capped(&mut logins, read, &path);
                logins.items.extend(read.into_iter().map(|login| kept(files, login, &path)));
            }
            Err(error) => {
                let (line, detail) = (Some(error.line()), error.to_string());
                lacks(&mut logins, Reason::Malformed { path, line, detail });
            }
        },
        Fact::Absent => {}
        Fact::Unobserved(reason) => lacks(&mut logins, reason),
    }
    logins
}

fn kept(files: &Files<'_>, login: Login, path: &str) -> Held<RegistryLogin> {
    let origin = path.to_owned();
    let print = |secret: &secrecy::SecretString, purpose| {
        fingerprint(files.target, &Secret::from(secret.expose_secret()), purpose)
    };
    let (mut name, mut secret) = (None, None);
    let (user, fingerprint, helper) = match login.holder {
        Holder::Helper(helper) => (Fact::Absent, Fact::Absent, Fact::Present(helper)),
        Holder::Password { user, password } => {
            (name, secret) = (Some(Secret::from(user.as_str())), Some(Secret::from(password.expose_secret())));
            let user = login_name(&user, Some(&password), path, None);
            (user, print(&password, "registry"), Fact::Absent)
        }
        Holder::Token(token) => (Fact::Absent, print(&token, "registry-token"), Fact::Absent),
        Holder::Nobody => (Fact::Absent, Fact::Absent, Fact::Absent),
        Holder::Malformed => {
            let detail = "auth is not base64 of user:password".to_owned();
            let reason = Reason::Malformed { path: origin.clone(), line: None, detail };
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason), Fact::Absent)
        }
    };
    let entry = RegistryLogin { registry: login.registry, user, fingerprint, helper, origin };
    Held { entry, secret, session: None, user: name }
}
