//! Proxy variables of the environment, without userinfo. The values are the only part of the environment that this family keeps.

use std::collections::BTreeMap;

use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::environment::Environment;
use crate::snapshot::facts::ProxyVariable;
use crate::snapshot::{Fact, List};

/// Variables that name a proxy server, the lower case first: where both are set clients prefer it (curl(1), "ENVIRONMENT").
pub const SERVER_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
/// The most that is kept of `no_proxy`.
const MAX_VALUE: usize = 4096;

/// One element per name; an empty variable counts as not set, as clients take it.
pub fn observe(environment: &Fact<Environment>) -> Fact<List<ProxyVariable>> {
    environment.as_ref().map(|environment| {
        let (mut found, mut more) = (BTreeMap::new(), None);
        for variable in SERVER_VARIABLES.iter().chain(&["no_proxy", "NO_PROXY"]) {
            let name = variable.to_ascii_lowercase();
            let value = environment.text(variable);
            more = more.or(value.reason().cloned());
            if let Some(value) = value.present().map(|value| value.trim()).filter(|value| !value.is_empty()) {
                let value = if name == "no_proxy" { exceptions(value) } else { server(value) };
                found.entry(name).or_insert(value);
            }
        }
        List { items: found.into_iter().map(|(name, value)| ProxyVariable { name, value }).collect(), more }
    })
}

fn server(value: &str) -> String {
    EndpointUrl::parse(value).origin()
}

/// Hosts, domains and networks; a word with an `@` is no such thing and is left out.
fn exceptions(value: &str) -> String {
    let words = value.split([',', ' ']).filter(|word| !word.is_empty() && !word.contains('@'));
    words.collect::<Vec<_>>().join(",").chars().take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use super::observe;
    use crate::probe::environment::Environment;
    use crate::snapshot::{Fact, Reason};

    #[test]
    fn a_proxy_is_kept_without_its_password_and_lower_case_wins() {
        let environment = Environment::parse(
            b"HTTPS_PROXY=http://upper:1\0https_proxy=http://u:s3cret@proxy.corp:8080/\0NO_PROXY=localhost, .corp\0all_proxy=\0",
        );
        let Fact::Present(found) = observe(&Fact::Present(environment)) else { panic!("present") };
        let pairs: Vec<_> = found.items.iter().map(|proxy| (proxy.name.as_str(), proxy.value.as_str())).collect();
        assert_eq!(pairs, [("https_proxy", "http://proxy.corp:8080"), ("no_proxy", "localhost,.corp")]);
    }

    #[test]
    fn an_environment_that_was_not_seen_has_no_known_proxies() {
        assert_eq!(observe(&Fact::Unobserved(Reason::NoProcess)), Fact::Unobserved(Reason::NoProcess));
    }
}
