//! Aliases of the MinIO client: `MC_HOST_<alias>`, the file that `MC_CONFIG_ENV_FILE` names, and `config.json`.
//!
//! The directory is `MC_CONFIG_DIR`, or beneath the home directory a name that `mc` takes from its own: `.mc`, and `.mcli` where a
//! distribution calls it `mcli` (`minio/mc`, `cmd/config.go`). Both are looked at.

use secrecy::{ExposeSecret, SecretString};

use super::endpoints::{account, name, normal};
use super::files::Files;
use super::{Held, capped, fingerprint, key_id, lacks, place};
use crate::formats::mc_config::{self, Alias, McError};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::S3Key;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// Adds the aliases' keys and endpoints.
pub(super) fn observe(files: &mut Files<'_>, keys: &mut List<Held<S3Key>>, named: &mut Vec<NamedEndpoint>) {
    variables(files, keys, named);
    variable_file(files, keys, named);
    let places = match files.named("MC_CONFIG_DIR", "/config.json") {
        Fact::Absent => vec![files.beneath_home(".mc/config.json"), files.beneath_home(".mcli/config.json")],
        Fact::Unobserved(_) if files.target.environment.present().is_none() => {
            vec![files.beneath_home(".mc/config.json"), files.beneath_home(".mcli/config.json")]
        }
        stated => vec![stated],
    };
    for stated in places {
        let content = match stated {
            Fact::Present(stated) => files.read("mc", &stated).map(|text| (stated.path, text)),
            Fact::Absent => Fact::Absent,
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        };
        match content {
            Fact::Present((path, text)) => match mc_config::parse(text.expose()) {
                Ok(aliases) => capped(keys, aliases, &path).iter().for_each(|alias| {
                    let origin = place(&path, alias.line);
                    add(files, keys, named, alias, ("mc-alias", origin));
                }),
                Err(error) => lacks(keys, malformed(&path, error)),
            },
            Fact::Absent => {}
            Fact::Unobserved(reason) => lacks(keys, reason),
        }
    }
}

fn variables(files: &Files<'_>, keys: &mut List<Held<S3Key>>, named: &mut Vec<NamedEndpoint>) {
    let Fact::Present(environment) = files.target.environment else { return };
    for variable in environment.names() {
        let Some(alias_name) = variable.strip_prefix(mc_config::VARIABLE) else { continue };
        let value = environment.get(variable).ok_or(McError::Url { line: None });
        match value.and_then(|value| mc_config::parse_variable(alias_name, value, None)) {
            Ok(alias) => add(files, keys, named, &alias, ("mc-environment", variable.to_owned())),
            Err(error) => lacks(keys, malformed(variable, error)),
        }
    }
}

fn variable_file(files: &mut Files<'_>, keys: &mut List<Held<S3Key>>, named: &mut Vec<NamedEndpoint>) {
    let stated = match files.named("MC_CONFIG_ENV_FILE", "") {
        Fact::Present(stated) => stated,
        // An environment that was not seen is noted where it is not seen.
        Fact::Unobserved(reason) if files.target.environment.present().is_some() => return lacks(keys, reason),
        Fact::Absent | Fact::Unobserved(_) => return,
    };
    match files.read("mc-environment", &stated) {
        Fact::Present(text) => {
            let Some(text) = text.expose_str() else {
                return lacks(keys, malformed(&stated.path, McError::Url { line: None }));
            };
            let aliases = mc_config::parse_variables(text).collect();
            for alias in capped(keys, aliases, &stated.path) {
                match alias {
                    Ok(alias) => {
                        let origin = place(&stated.path, alias.line);
                        add(files, keys, named, &alias, ("mc-environment", origin));
                    }
                    Err(error) => lacks(keys, malformed(&stated.path, error)),
                }
            }
        }
        Fact::Absent => {}
        Fact::Unobserved(reason) => lacks(keys, reason),
    }
}

fn add(
    files: &Files<'_>,
    keys: &mut List<Held<S3Key>>,
    named: &mut Vec<NamedEndpoint>,
    alias: &Alias,
    (provider, origin): (&str, String),
) {
    let endpoint = match normal(&alias.url) {
        Some(endpoint) => Fact::Present(endpoint),
        None => Fact::Unobserved(malformed(&origin, McError::Url { line: None })),
    };
    if !is_default(alias) {
        name(named, &alias.url, format!("mc alias {}", alias.name), origin.clone());
    }
    let secret = |key: &SecretString| fingerprint(files.target, &Secret::from(key.expose_secret()), "s3");
    let entry = S3Key {
        provider: provider.to_owned(),
        name: alias.name.clone(),
        access_key_id: key_id(Some(&alias.access_key), &origin),
        fingerprint: alias.secret_key.as_ref().map_or(Fact::Absent, secret),
        account: account(files.target, &endpoint),
        endpoint,
        region: Fact::Absent,
        chosen: Fact::Present(false),
        placeholder: Fact::Present(alias.access_key == mc_config::PLACEHOLDER_ACCESS_KEY),
        origin,
    };
    let kept = |key: &Option<SecretString>| key.as_ref().map(|key| Secret::from(key.expose_secret()));
    keys.items.push(Held { secret: kept(&alias.secret_key), session: kept(&alias.session_token), ..Held::bare(entry) });
}

/// Whether it is one that `mc` wrote itself and nobody gave a key to: it names no endpoint that anyone uses.
fn is_default(alias: &Alias) -> bool {
    let same = |(name, url): &(&str, &str)| *name == alias.name && normal(url) == normal(&alias.url);
    let nobodys = ["", mc_config::PLACEHOLDER_ACCESS_KEY, mc_config::PLAY_ACCESS_KEY];
    mc_config::DEFAULT_ALIASES.iter().any(same) && nobodys.contains(&alias.access_key.as_str())
}

fn malformed(path: &str, error: McError) -> Reason {
    Reason::Malformed { path: path.to_owned(), line: error.line(), detail: error.to_string() }
}
