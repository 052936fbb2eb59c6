//! What names and addresses mean in a context: which machine `127.0.0.1` is, what `localhost` resolves to and by which
//! source, who listens, which endpoints its configuration names and whether those on loopback are answered *here*.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List, ObjectId};

/// What names and addresses mean in this context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The network namespace: two contexts mean the same machine by `127.0.0.1` exactly when this is equal.
    #[schemars(extend("x-disclosure" = "public"))]
    pub namespace: Fact<ObjectId>,
    /// The loopback interface.
    pub loopback: Loopback,
    /// The addresses of all interfaces (`getifaddrs(3)`), sorted, without zones.
    pub addresses: Fact<Vec<String>>,
    /// The IPv4 gateways of the default routes (`proc_pid_net(5)`, route): in a container on a bridge, the host.
    pub gateways: Fact<Vec<String>>,
    /// Listening TCP sockets and bound UDP sockets on loopback and wildcard addresses (`proc_pid_net(5)`, tcp, tcp6, udp, udp6).
    pub listeners: Fact<List<Listener>>,
    /// What names resolve to: `localhost`, and the names of the endpoints; one element per name and flavour.
    pub names: Fact<List<ResolvedName>>,
    /// The name servers of `/etc/resolv.conf` (`resolv.conf(5)`), in order.
    pub name_servers: Fact<List<NameServer>>,
    /// Proxy variables of the environment.
    pub proxies: Fact<List<ProxyVariable>>,
    /// The endpoints that this context's configuration names.
    pub endpoints: Fact<List<Endpoint>>,
}

/// The loopback interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Loopback {
    /// Whether `lo` is up.
    #[schemars(extend("x-disclosure" = "public"))]
    pub up: Fact<bool>,
    /// Its addresses, sorted.
    pub addresses: Fact<Vec<String>>,
}

/// A socket that is open to connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address it is bound to; `0.0.0.0` and `::` are the wildcards.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Whether it is bound to a wildcard address.
    pub wildcard: bool,
}

/// What one name means here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResolvedName {
    /// The name.
    pub name: String,
    /// Whose lookup is emulated: `glibc` (nsswitch.conf with its actions), `musl` (hosts, then DNS), `nix` (files, then DNS),
    /// `go` (files, then DNS; what runs in a root without a C library).
    pub flavour: String,
    /// IPv4 addresses in the order of the source; absent when the name has none.
    pub v4: Fact<Vec<String>>,
    /// IPv6 addresses in the order of the source; absent when the name has none.
    pub v6: Fact<Vec<String>>,
    /// What answered: `literal`, `files`, `myhostname`, `dns`; absent when nothing knows the name.
    pub source: Fact<String>,
}

/// One name server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NameServer {
    /// Its address.
    pub address: String,
    /// Whether the address is a loopback one, and so means a server inside this network namespace.
    pub loopback: bool,
    /// For a loopback address: whether a socket is bound to port 53 of it in this very namespace.
    pub listening: Fact<bool>,
}

/// One proxy variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyVariable {
    /// The variable's name in lower case: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
    pub name: String,
    /// Its value, without userinfo.
    pub value: String,
}

/// One endpoint as seen from here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// The URL, without userinfo and query.
    pub url: String,
    /// What names it, such as `nix substituters` or `mc alias cache`.
    pub named_by: String,
    /// The file and line, or the variable, in which it stands.
    pub origin: String,
    /// The scheme.
    pub scheme: Fact<String>,
    /// The host as written, lower case, without brackets.
    pub host: Fact<String>,
    /// The port, given or by the scheme.
    pub port: Fact<u16>,
    /// Whether the host is, or resolves here to, loopback addresses only.
    pub loopback: Fact<bool>,
    /// For loopback endpoints: whether something listens on that address and port in this network namespace.
    pub listening: Fact<bool>,
}
