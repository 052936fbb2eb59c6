//! The AWS chain of this context: environment, then the profile in effect; and the keys of every profile.
//!
//! Order and names: "Configuration and credential file settings", "Credential provider chain" and "Service-specific endpoints" in the
//! AWS SDKs and Tools Reference Guide; `DefaultAWSCredentialsProviderChain` of aws-sdk-cpp, which Nix uses; botocore,
//! `credentials.py`. Where those clients differ from each other, the fact is unobserved and says so.

use super::endpoints::{account, name, normal};
use super::files::Files;
use super::{Held, fingerprint, key_id, lacks, place, variable};
use crate::formats::aws_profile::{self, AwsFile, Dialect, Section, SectionKind};
use crate::formats::mc_config::PLACEHOLDER_ACCESS_KEY;
use crate::probe::Target;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{AwsChain, S3Key};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

const KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION: &str = "AWS_SESSION_TOKEN";
/// For S3 the specific variable comes first.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
/// What makes a profile one that gives credentials without holding them.
const BORROWED: [&str; 6] =
    ["role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file", "credential_source"];

/// One of the two files, parsed.
struct Source<'a> {
    path: &'a str,
    file: AwsFile<'a>,
}

/// What both files hold, the credentials file first: its values come before the other's.
struct Profiles<'a> {
    sources: Vec<Source<'a>>,
    /// Why there may be profiles or values that were not seen.
    lacking: Option<Reason>,
}

impl<'a> Profiles<'a> {
    fn sections(&self) -> impl Iterator<Item = (&'a str, &Section<'a>)> {
        self.sources.iter().flat_map(|source| source.file.sections.iter().map(|section| (source.path, section)))
    }

    fn of<'s>(&'s self, profile: &'s str) -> impl Iterator<Item = (&'a str, &'s Section<'a>)> {
        self.sections()
            .filter(move |(_, section)| matches!(&section.kind, SectionKind::Profile(name) if name == profile))
    }

    fn value(&self, profile: &str, name: &str) -> Option<&'a str> {
        let values = self.of(profile).filter_map(|(_, section)| section.get(name));
        values.map(|(value, _)| value).find(|value| !value.is_empty())
    }

    /// The S3 endpoint of a profile: that of the services section that it names, else its own.
    fn endpoint(&self, profile: &str) -> Option<&'a str> {
        let services = self.value(profile, "services").and_then(|wanted| {
            let is = |section: &Section<'_>| matches!(&section.kind, SectionKind::Services(name) if name == wanted);
            let mut sections = self.sections().filter(|(_, section)| is(section));
            sections.find_map(|(_, section)| section.nested("s3", "endpoint_url")).map(|(value, _)| value)
        });
        services.or_else(|| self.value(profile, "endpoint_url")).filter(|value| !value.is_empty())
    }

    /// Absent only where both files were seen in full.
    fn or_lacking<T>(&self, value: Option<T>) -> Fact<T> {
        match (value, &self.lacking) {
            (Some(value), _) => Fact::Present(value),
            (None, None) => Fact::Absent,
            (None, Some(reason)) => Fact::Unobserved(reason.clone()),
        }
    }
}

/// Adds the keys of environment and profiles and the endpoints that both name; gives the outcome of the chain.
pub(super) fn observe(files: &mut Files<'_>, keys: &mut List<Held<S3Key>>, named: &mut Vec<NamedEndpoint>) -> AwsChain {
    let texts = [
        ("aws-credentials", "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", Dialect::Credentials),
        ("aws-config", "AWS_CONFIG_FILE", ".aws/config", Dialect::Config),
    ]
    .map(|(purpose, variable, beneath_home, dialect)| {
        let stated = files.place(variable, beneath_home);
        let text = stated.and_then(|stated| files.read(purpose, &stated).map(|text| (stated.path, text)));
        (text, dialect)
    });
    let mut profiles = Profiles { sources: Vec::new(), lacking: None };
    for (text, dialect) in &texts {
        match text {
            Fact::Present((path, text)) => take(&mut profiles, path, text, *dialect),
            Fact::Absent => {}
            Fact::Unobserved(reason) => {
                profiles.lacking.get_or_insert_with(|| reason.clone());
            }
        }
    }
    if let Some(reason) = &profiles.lacking {
        lacks(keys, reason.clone());
    }
    let target = files.target;
    let chain = chain(target, &profiles);
    keys.items.extend(environment_key(target, &chain));
    profile_keys(target, &profiles, &chain, keys);
    name_endpoints(target, &profiles, named);
    chain
}

fn take<'a>(profiles: &mut Profiles<'a>, path: &'a str, text: &'a Secret, dialect: Dialect) {
    match aws_profile::parse(text.expose(), dialect) {
        Ok(file) => {
            if file.cut {
                let at = u64::try_from(file.sections.len()).unwrap_or(u64::MAX);
                profiles.lacking.get_or_insert(Reason::Truncated { at, what: format!("sections of {path}") });
            }
            profiles.sources.push(Source { path, file });
        }
        Err(error) => {
            let detail = "not UTF-8".to_owned();
            let reason = Reason::Malformed { path: path.to_owned(), line: Some(error.line), detail };
            profiles.lacking.get_or_insert(reason);
        }
    }
}

/// What the chain comes to. All of it hangs on variables, so that none of it is known where they are not.
fn chain(target: &Target<'_>, profiles: &Profiles<'_>) -> AwsChain {
    let garbled = target.unread(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", KEY]);
    if let Some(reason) = target.environment.reason().or(garbled.as_ref()) {
        return AwsChain {
            provider: Fact::Unobserved(reason.clone()),
            profile: Fact::Unobserved(reason.clone()),
            profile_exists: Fact::Unobserved(reason.clone()),
            region: Fact::Unobserved(reason.clone()),
            endpoint: Fact::Unobserved(reason.clone()),
            half: Fact::Unobserved(reason.clone()),
        };
    }
    let profile = profile(target);
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| variable(target, name).present().copied());
    let region = match region {
        Some(region) => Fact::Present(region),
        None => profile.as_ref().and_then(|profile| profiles.or_lacking(profiles.value(profile, "region"))),
    };
    let (provider, half) = provider(target, profiles, &profile);
    AwsChain {
        provider,
        half,
        profile_exists: profile.as_ref().and_then(|profile| match profiles.or_lacking(profiles.of(profile).next()) {
            Fact::Present(_) => Fact::Present(true),
            Fact::Absent => Fact::Present(false),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }),
        endpoint: profile.as_ref().and_then(|profile| effective_endpoint(target, profiles, profile)),
        region: region.map(str::to_owned),
        profile,
    }
}

/// The profile in effect. Clients differ in which of the two variables comes first.
fn profile(target: &Target<'_>) -> Fact<String> {
    let set = |name| variable(target, name).present().copied();
    match (set("AWS_PROFILE"), set("AWS_DEFAULT_PROFILE")) {
        (Some(one), Some(other)) if one != other => Fact::Unobserved(Reason::NotEmulated {
            what: "the order of AWS_PROFILE and AWS_DEFAULT_PROFILE, which differs between clients".to_owned(),
        }),
        (Some(profile), _) | (None, Some(profile)) => Fact::Present(profile.to_owned()),
        (None, None) => Fact::Present("default".to_owned()),
    }
}

/// Who gives the credentials, and whether only half of them.
fn provider(target: &Target<'_>, profiles: &Profiles<'_>, profile: &Fact<String>) -> (Fact<String>, Fact<bool>) {
    let set = |name| variable(target, name).present().is_some();
    let given = |name: &str, half| (Fact::Present(name.to_owned()), Fact::Present(half));
    if set(KEY) || set(SECRET) {
        return given("environment", set(KEY) != set(SECRET));
    }
    let profile = match profile {
        Fact::Present(profile) => profile,
        Fact::Absent => return (Fact::Absent, Fact::Absent),
        Fact::Unobserved(reason) => return (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone())),
    };
    let has = |name: &str| profiles.value(profile, name).is_some();
    let (id, secret) = (has("aws_access_key_id"), has("aws_secret_access_key"));
    if BORROWED.iter().any(|name| has(name)) || (id && secret) {
        return given("profile", false);
    }
    if let Some(reason) = &profiles.lacking {
        return (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()));
    }
    if id || secret {
        return given("profile", true);
    }
    if set("AWS_ROLE_ARN") && set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        return given("web-identity", false);
    }
    if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        return given("container", false);
    }
    (Fact::Absent, Fact::Absent)
}

/// The endpoint for S3 that is in effect with this profile; absent when AWS itself is meant.
fn effective_endpoint(target: &Target<'_>, profiles: &Profiles<'_>, profile: &str) -> Fact<String> {
    let ignored = variable(target, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.present().is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Fact::Absent;
    }
    for name in ENDPOINTS {
        match variable(target, name) {
            Fact::Present(url) => return endpoint(url, name),
            Fact::Absent | Fact::Unobserved(Reason::NoProcess) => {}
            Fact::Unobserved(reason) => return Fact::Unobserved(reason),
        }
    }
    profiles.or_lacking(profiles.endpoint(profile)).and_then(|url| endpoint(url, &format!("profile {profile}")))
}

fn endpoint(url: &str, origin: &str) -> Fact<String> {
    match normal(url) {
        Some(endpoint) => Fact::Present(endpoint),
        None => {
            let (path, detail) = (origin.to_owned(), "not an http or https URL".to_owned());
            Fact::Unobserved(Reason::Malformed { path, line: None, detail })
        }
    }
}

fn environment_key(target: &Target<'_>, chain: &AwsChain) -> Option<Held<S3Key>> {
    let environment = target.environment.present()?;
    let id = variable(target, KEY).present().copied();
    let secret = environment.secret(SECRET).filter(|secret| !secret.is_empty());
    if id.is_none() && secret.is_none() {
        return None;
    }
    let copy = |secret: &Secret| Secret::new(secret.expose().to_vec());
    let session = environment.secret(SESSION).filter(|token| !token.is_empty());
    let entry = S3Key {
        provider: "environment".to_owned(),
        name: KEY.to_owned(),
        origin: KEY.to_owned(),
        access_key_id: key_id(id, KEY),
        fingerprint: secret.map_or(Fact::Absent, |secret| fingerprint(target, secret, "s3")),
        account: account(target, &chain.endpoint),
        endpoint: chain.endpoint.clone(),
        region: chain.region.clone(),
        chosen: Fact::Present(id.is_some() && secret.is_some()),
        placeholder: Fact::Present(id == Some(PLACEHOLDER_ACCESS_KEY)),
    };
    Some(Held { secret: secret.map(copy), session: session.map(copy), ..Held::bare(entry) })
}

fn profile_keys(target: &Target<'_>, profiles: &Profiles<'_>, chain: &AwsChain, keys: &mut List<Held<S3Key>>) {
    let mut earlier: Vec<&str> = Vec::new();
    for (path, section) in profiles.sections() {
        let SectionKind::Profile(profile) = &section.kind else { continue };
        let filled = |name| section.get(name).filter(|(value, _)| !value.is_empty());
        let (id, secret) = (filled("aws_access_key_id"), filled("aws_secret_access_key"));
        let Some((_, line)) = id.or(secret) else { continue };
        let endpoint = effective_endpoint(target, profiles, profile);
        let chosen = if earlier.contains(&profile.as_str()) {
            Fact::Present(false)
        } else {
            chosen(profiles, chain, profile).map(|chosen| chosen && id.is_some() && secret.is_some())
        };
        earlier.push(profile);
        let print = |(value, _): (&str, u32)| fingerprint(target, &Secret::from(value), "s3");
        let session = filled("aws_session_token").map(|(value, _)| Secret::from(value));
        let entry = S3Key {
            provider: "profile".to_owned(),
            name: profile.clone(),
            origin: place(path, Some(line)),
            access_key_id: key_id(id.map(|(value, _)| value), &place(path, Some(line))),
            fingerprint: secret.map_or(Fact::Absent, print),
            account: account(target, &endpoint),
            endpoint,
            region: profiles.or_lacking(profiles.value(profile, "region")).map(str::to_owned),
            chosen,
            placeholder: Fact::Present(id.is_some_and(|(value, _)| value == PLACEHOLDER_ACCESS_KEY)),
        };
        let secret = secret.map(|(value, _)| Secret::from(value));
        keys.items.push(Held { secret, session, ..Held::bare(entry) });
    }
}

/// Whether the keys of this profile are the ones that the chain ends in.
fn chosen(profiles: &Profiles<'_>, chain: &AwsChain, profile: &str) -> Fact<bool> {
    let differs = |what: &str| Fact::Unobserved(Reason::NotEmulated { what: what.to_owned() });
    let in_effect = chain.profile.as_ref().map(|effective| effective == profile);
    let (Fact::Present(true), Fact::Present(provider)) = (&in_effect, &chain.provider) else {
        return if in_effect == Fact::Present(false) {
            in_effect
        } else {
            chain.provider.as_ref().and_then(|_| in_effect.map(|_| false))
        };
    };
    match (provider.as_str(), chain.half.present()) {
        ("environment", Some(true)) => {
            differs("what follows half a set of keys in the environment, which differs between clients")
        }
        ("profile", _) if BORROWED.iter().any(|name| profiles.value(profile, name).is_some()) => {
            differs("a profile that holds keys and borrows others")
        }
        (provider, _) => Fact::Present(provider == "profile"),
    }
}

fn name_endpoints(target: &Target<'_>, profiles: &Profiles<'_>, named: &mut Vec<NamedEndpoint>) {
    for variable_name in ENDPOINTS {
        if let Fact::Present(url) = variable(target, variable_name) {
            name(named, url, variable_name.to_owned(), variable_name.to_owned());
        }
    }
    for (path, section) in profiles.sections() {
        let (found, named_by) = match &section.kind {
            SectionKind::Profile(profile) => (section.get("endpoint_url"), format!("AWS profile {profile}")),
            SectionKind::Services(services) => {
                (section.nested("s3", "endpoint_url"), format!("AWS services section {services}"))
            }
            SectionKind::Other => continue,
        };
        if let Some((url, line)) = found {
            name(named, url, named_by, place(path, Some(line)));
        }
    }
}
