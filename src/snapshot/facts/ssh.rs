//! Facts about the SSH endpoints of Nix: whom ssh would connect to, whom it would believe, as whom, and what the servers show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List};

/// The remote builders and the stores behind SSH that this context's Nix names, as ssh(1) takes them here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ssh {
    /// One element per address that something names.
    pub endpoints: Fact<List<SshEndpoint>>,
    /// The private keys that ssh would offer, by endpoint, in order. That further ones are not known is left out where one, or an agent, can be used.
    pub identities: Fact<List<SshIdentity>>,
    /// The files of known host keys that ssh would read, by endpoint, in order.
    pub known_hosts: Fact<List<KnownHostsFile>>,
    /// What the servers show, up to the exchange of keys; unobserved where the round of questions was left out. Hosts behind a proxy are in `endpoints` alone.
    pub servers: Fact<List<SshServer>>,
}

/// One address, and what ssh_config(5) makes of it here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SshEndpoint {
    /// The address as it is named, without user and parameters.
    pub url: String,
    /// `nix builders`, `nix substituters` or `nix store`.
    pub named_by: String,
    /// The file and line, or the variable, in which it stands.
    pub origin: String,
    /// The host as it is named.
    pub host: String,
    /// The name or address that ssh connects to (`HostName`), lower case.
    pub host_name: Fact<String>,
    /// The port.
    pub port: Fact<u16>,
    /// The user that ssh logs in as.
    pub user: Fact<String>,
    /// `ProxyJump` or `ProxyCommand`, whichever decides; absent when ssh connects by itself.
    pub proxy: Fact<String>,
    /// `StrictHostKeyChecking`: `ask` (the default), `yes`, `accept-new`, `no`. Without a terminal `ask` is `yes`.
    pub strict: Fact<String>,
    /// Whether an agent's socket is configured and there (`SSH_AUTH_SOCK`, `IdentityAgent`); it is not spoken to.
    pub agent: Fact<bool>,
    /// The fingerprint of the host key that Nix itself is told (`base64-ssh-public-host-key`, the eighth column of a machines file); absent
    /// when it is told none.
    pub told_key: Fact<String>,
}

/// One private key that ssh would offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SshIdentity {
    /// The address that it is offered to.
    pub url: String,
    /// What names that address.
    pub endpoint_named_by: String,
    /// The path in this context.
    pub path: String,
    /// `nix` (a column of the machines file or `ssh-key=`), `ssh_config` or `default`.
    pub named_by: String,
    /// The file and line that name it; the list of defaults has none.
    pub origin: Fact<String>,
    /// Whether there is such a file.
    pub exists: Fact<bool>,
    /// Whether this identity can read it; absent where there is nothing.
    pub readable: Fact<bool>,
    /// Whether others than its owner may open it, so that ssh, run by the owner, ignores it (`sshkey_perm_ok`); absent where there is nothing.
    pub too_open: Fact<bool>,
    /// Whether a passphrase is needed, which nobody can give to a daemon; absent where there is nothing to read.
    pub encrypted: Fact<bool>,
    /// Whether ssh can use it here without being asked for anything.
    pub usable: Fact<bool>,
    /// Whether another key, or an agent, may be offered to the same address.
    pub alternative: Fact<bool>,
    /// SHA-256 of the public half, as `ssh-keygen -l` prints it; absent where nothing says it.
    pub public_key: Fact<String>,
}

/// One file of known host keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KnownHostsFile {
    /// The address for which it is read.
    pub url: String,
    /// What names that address.
    pub endpoint_named_by: String,
    /// The path in this context.
    pub path: String,
    /// `user` or `global`.
    pub level: String,
    /// Whether there is such a file.
    pub exists: Fact<bool>,
    /// Whether this identity can read it; absent where there is nothing. ssh takes one that it can't read for an empty one.
    pub readable: Fact<bool>,
    /// How many keys it has for the host, those of authorities and revoked ones included; absent where nothing was read.
    pub keys: Fact<u32>,
}

/// One server, spoken to from here up to the exchange of keys. Nobody logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SshServer {
    /// The address as it is named.
    pub url: String,
    /// What names it.
    pub named_by: String,
    /// The file and line, or the variable, in which it stands.
    pub origin: String,
    /// The name or address that was connected to.
    pub host_name: Fact<String>,
    /// The port.
    pub port: Fact<u16>,
    /// Whether all its addresses are loopback ones.
    pub loopback: Fact<bool>,
    /// Under which names other findings know it: its host, and its host and port; empty where they are not known.
    pub known_as: Vec<String>,
    /// The name under which its key is looked up: the host name, `[name]:port`, or `HostKeyAlias`.
    pub key_name: Fact<String>,
    /// `StrictHostKeyChecking`, as in `ssh.endpoints`.
    pub strict: Fact<String>,
    /// Whether a connection came about; absent for a name without an address.
    pub connected: Fact<bool>,
    /// The program, as its greeting says it (RFC 4253, 4.2), without a comment; absent for what speaks another protocol.
    pub program: Fact<String>,
    /// The type of the host key, such as `ssh-ed25519`; absent for what speaks another protocol.
    pub key_type: Fact<String>,
    /// SHA-256 of the host key, as `ssh-keygen -l` prints it. The server has proven that it holds the key.
    pub host_key: Fact<String>,
    /// What ssh here says of that key: `known`, `no-key` (no key is known for the name), `other-key` (others are), `revoked`;
    /// `authority` where it is not known itself and an authority is, which may vouch for the host by a certificate: that is not asked for. Absent
    /// without a key.
    pub verdict: Fact<String>,
    /// The file and line, or `Nix`, that knows the key or the authority; absent when none does.
    pub known_in: Fact<String>,
    /// The files that were looked at for it, those that are not there or can't be read told as such.
    pub looked_in: Fact<Vec<String>>,
}
