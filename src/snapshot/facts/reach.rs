//! Facts about what answers under the endpoints' names, asked from this context: addresses, connections, certificates, services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List, ObjectId};

/// What this context reaches under the names that its own configuration gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// One element per endpoint that was asked, in the order of `network.endpoints`; unobserved where the round of questions was left out.
    pub endpoints: Fact<List<Reached>>,
    /// Addresses by which the endpoints mean this machine's host or loopback, each with whose loopback answers there; empty where no endpoint
    /// has such an address.
    pub hosts: Fact<List<HostAddress>>,
    /// The bundles of root certificates that a variable or a setting names.
    pub bundles: Fact<List<Bundle>>,
    /// Of a Nix daemon: one element per substituter that its clients ask it for and that it honours, for then it is the daemon that connects there. Of
    /// a container engine: one per registry that those who may drive it are logged in at. Empty for every other context; unobserved where the round of
    /// questions was left out, and where one context was looked at alone. In a published view without what containers alone name.
    pub linked: Fact<List<Linked>>,
}

/// An endpoint that other contexts name and at which this one connects on their word: asked from here, without a byte after the handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linked {
    /// The URL, without userinfo and query, as in `reach.endpoints` of those that name it.
    pub url: String,
    /// What names it: the setting, in the words of `network.endpoints`, or `registry NAME` of Docker's configuration.
    #[schemars(extend("x-disclosure" = "public"))]
    pub named_by: String,
    /// The ids of the contexts that name it, sorted.
    pub named_in: Vec<String>,
    /// What links them: the socket of the daemon or of the engine.
    #[schemars(extend("x-disclosure" = "public"))]
    pub link: Fact<ObjectId>,
    /// The host as written, lower case.
    pub host: String,
    /// The port, given or by the scheme.
    pub port: u16,
    /// Whether all addresses that the name has here are loopback ones.
    #[schemars(extend("x-disclosure" = "public"))]
    pub loopback: Fact<bool>,
    /// For a loopback endpoint: the network namespace whose loopback a connection from here would reach; absent for others.
    #[schemars(extend("x-disclosure" = "public"))]
    pub loopback_of: Fact<ObjectId>,
    /// For a loopback endpoint: whether those who name it stand in that namespace too. If not, it is another machine for them, and it is not tried.
    #[schemars(extend("x-disclosure" = "public"))]
    pub same_machine: Fact<bool>,
    /// The proxy that Nix here would go through; absent when it goes straight. A proxy is not spoken to on another context's word.
    pub proxy: Fact<String>,
    /// The addresses that the name has here, IPv4 first; absent when it has none. Link-local and metadata addresses are left out.
    pub addresses: Fact<Vec<String>>,
    /// What became of the connections over IPv4, in the words of `reach.endpoints`; absent without an address of that family.
    #[schemars(extend("x-disclosure" = "public"))]
    pub v4: Fact<String>,
    /// The same over IPv6.
    #[schemars(extend("x-disclosure" = "public"))]
    pub v6: Fact<String>,
    /// Every connection that did not come about: address and symbolic error number, in the order of the attempts.
    pub failures: Fact<Vec<String>>,
    /// Whether a connection came about (`connect(2)`); absent when the name has no address.
    #[schemars(extend("x-disclosure" = "public"))]
    pub connected: Fact<bool>,
    /// The address that answered; absent when none did.
    pub peer: Fact<String>,
    /// The certificate that was shown, judged by the bundle that Nix, or the engine, takes here.
    pub tls: Certificate,
}

/// A bundle of root certificates that something here names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bundle {
    /// The variable, or `nix setting ssl-cert-file`.
    pub named_by: String,
    /// The path, in this context.
    pub path: String,
    /// Whether there is anything.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// Whether this identity can read it; absent where there is nothing.
    #[schemars(extend("x-disclosure" = "public"))]
    pub readable: Fact<bool>,
    /// How many certificates it holds (RFC 7468); absent where there is nothing to read, and for a directory.
    #[schemars(extend("x-disclosure" = "public"))]
    pub roots: Fact<u32>,
}

/// One endpoint, asked from here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reached {
    /// The URL, without userinfo and query, as in `network.endpoints`.
    pub url: String,
    /// What names it, sorted.
    pub named_by: Vec<String>,
    /// The host as written, lower case.
    pub host: String,
    /// The port, given or by the scheme.
    pub port: u16,
    /// Whether all its addresses are loopback ones, which mean another machine in each network namespace.
    #[schemars(extend("x-disclosure" = "public"))]
    pub loopback: Fact<bool>,
    /// The proxy that a client here would go through, `scheme://host:port`; absent when it goes straight.
    pub proxy: Fact<String>,
    /// The addresses that the name has, IPv4 first; absent when it has none. Link-local and metadata addresses are left out where a name leads to them.
    pub addresses: Fact<Vec<String>>,
    /// What became of the connections over IPv4: `connected`, `refused`, `unreachable`, `silent` (no answer within the time), `failed`; absent
    /// without an address of that family.
    #[schemars(extend("x-disclosure" = "public"))]
    pub v4: Fact<String>,
    /// The same over IPv6.
    #[schemars(extend("x-disclosure" = "public"))]
    pub v6: Fact<String>,
    /// Every connection that did not come about: address and symbolic error number, in the order of the attempts.
    pub failures: Fact<Vec<String>>,
    /// Whether a connection came about (`connect(2)`); a client tries every address. Through a proxy: whether the proxy made it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub connected: Fact<bool>,
    /// The address that answered; absent when none did, and behind a proxy.
    pub peer: Fact<String>,
    /// The certificate that was shown.
    pub tls: Certificate,
    /// The path that was asked for over HTTP; absent where nothing was.
    pub asked: Fact<String>,
    /// What answered.
    pub service: Service,
    /// How far the service's clock is ahead of this machine's, in milliseconds, by its `Date` and `Age` headers (RFC 9110, 6.6.1; whole seconds).
    #[schemars(extend("x-disclosure" = "public"))]
    pub clock_ahead_ms: Fact<i64>,
    /// SHA-256 of the leaf in the file that `parallax.toml` names as this service's certificate, in hexadecimal; absent where it names none. Read by
    /// the host's context only.
    pub on_disk: Fact<String>,
}

/// An address by which configuration means the host: loopback, the gateway, or what `host.docker.internal` and its like lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostAddress {
    /// The address.
    pub address: String,
    /// The URLs of the endpoints that lead to it, sorted.
    pub urls: Vec<String>,
    /// The network namespace whose loopback a connection to it reaches, as a listener that parallax opened there for this run has proven; absent
    /// when it reaches none of those that could be stood in.
    #[schemars(extend("x-disclosure" = "public"))]
    pub reaches: Fact<ObjectId>,
}

/// The certificate of a TLS endpoint (RFC 5280); absent fields for one without TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Certificate {
    /// Whether what answers speaks TLS at all; absent without a connection, unobserved where the handshake failed in any other way.
    #[schemars(extend("x-disclosure" = "public"))]
    pub spoken: Fact<bool>,
    /// SHA-256 of the leaf, in hexadecimal.
    pub leaf: Fact<String>,
    /// The names that it is for, sorted.
    pub names: Fact<Vec<String>>,
    /// Who issued it, as it says itself.
    pub issuer: Fact<String>,
    /// The last instant at which it is valid, in milliseconds since 1970.
    pub not_after: Fact<i64>,
    /// Whether it is valid at this instant, by this machine's clock.
    #[schemars(extend("x-disclosure" = "public"))]
    pub current: Fact<bool>,
    /// Whether it is for the name that was asked for.
    #[schemars(extend("x-disclosure" = "public"))]
    pub names_host: Fact<bool>,
    /// Whether a root in this context's own bundle signs the chain, judged by rustls-webpki with name and time set aside. Unobserved for
    /// any refusal that is not a missing root.
    #[schemars(extend("x-disclosure" = "public"))]
    pub trusted: Fact<bool>,
    /// The bundle of roots that a client here would take; absent when there is none.
    pub bundle: Fact<String>,
    /// What names that bundle: a variable, a setting, or `default`.
    pub bundle_named_by: Fact<String>,
}

/// What answered over HTTP without credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// `nix-cache`, `s3`, `registry`, `gitlab` or `http`; absent when what answers speaks no HTTP.
    #[schemars(extend("x-disclosure" = "public"))]
    pub kind: Fact<String>,
    /// A digest of what is particular to the service and the same from wherever it is asked.
    pub identity: Fact<String>,
    /// The status that the question was answered with.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// The program, as it calls itself, without a version.
    pub program: Fact<String>,
    /// The store directory of a binary cache (`nix-cache-info`); absent for other services.
    pub store_dir: Fact<String>,
}
