//! The bundle of root certificates that a client here would take: which file, by whose order, and what stands in it.
//!
//! Nix: `NIX_SSL_CERT_FILE`, `SSL_CERT_FILE`, the setting `ssl-cert-file`, then its two known places (`src/libstore/globals.cc`, getDefaultSSLCertFile). curl:
//! `CURL_CA_BUNDLE`, `SSL_CERT_FILE`; the SDKs of AWS: `AWS_CA_BUNDLE`; Go: `SSL_CERT_FILE`; then the places of the distributions
//! (Go's `crypto/x509/root_linux.go` has the list). Reads beneath the target's root only.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use zeroize::Zeroizing;

use super::certificate::fingerprint;
use super::plan::Client;
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{Bundle, Nix};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;
use crate::sys::root::Kind;

/// The most bytes of a bundle; those of the distributions have about 220 KiB.
const CAP: usize = 8 << 20;
/// The most files of one directory of certificates.
const LISTED: usize = 64;
/// Where Nix looks when nothing names a bundle.
const NIX_PLACES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt"];
/// Where the distributions keep theirs.
const PLACES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How the setting is called among what names a bundle.
const SETTING: &str = "nix setting ssl-cert-file";

/// The roots of one client.
#[derive(Debug, Clone)]
pub struct Roots {
    /// The file; absent when there is none.
    pub path: Fact<String>,
    /// A variable, a setting, or `default`.
    pub named_by: Fact<String>,
    /// What stands in it; without a file none.
    pub anchors: Fact<Vec<TrustAnchor<'static>>>,
}

/// The bundles of one context, each read once.
pub struct Bundles<'t> {
    target: &'t Target<'t>,
    /// The setting `ssl-cert-file`.
    setting: Fact<String>,
    known: BTreeMap<Client, Arc<Roots>>,
}

impl<'t> Bundles<'t> {
    pub fn new(target: &'t Target<'t>, nix: &Nix) -> Self {
        // A user without a process has no setting in an environment; files are read all the same.
        let settings = match &nix.settings {
            Fact::Unobserved(Reason::NoProcess) => Fact::Absent,
            settings => settings.as_ref(),
        };
        let given = settings.and_then(|list| {
            let setting = list.items.iter().find(|setting| setting.name == "ssl-cert-file");
            match (setting, &list.more) {
                (Some(setting), _) => setting.value.clone(),
                (None, Some(reason)) if *reason != Reason::NoProcess => Fact::Unobserved(reason.clone()),
                (None, _) => Fact::Absent,
            }
        });
        Self { target, setting: given, known: BTreeMap::new() }
    }

    /// The roots that this client takes.
    pub fn of(&mut self, client: Client) -> Arc<Roots> {
        if let Some(known) = self.known.get(&client) {
            return Arc::clone(known);
        }
        let roots = Arc::new(self.look(client));
        self.known.insert(client, Arc::clone(&roots));
        roots
    }

    /// The roots for one endpoint: those of the client, those that Docker (`/etc/docker/certs.d/HOST:PORT/*.crt`) and GitLab's runner
    /// (`/etc/gitlab-runner/certs/HOST.crt`) keep for one host alone, and those that `mc` keeps for all of its own (`~/.mc/certs/CAs/*`).
    pub fn for_endpoint(&mut self, client: Client, named_by: &str, host: &str, port: u16) -> Arc<Roots> {
        let roots = self.of(client);
        let own = if named_by == "CI_REGISTRY" || named_by.starts_with("registry ") {
            [format!("{host}:{port}"), host.to_owned()].iter().flat_map(|name| self.of_docker(name)).collect()
        } else if named_by.starts_with("mc alias ") {
            self.of_mc()
        } else if named_by.starts_with("gitlab-runner") {
            vec![
                fact(self.target.root.read(&format!("/etc/gitlab-runner/certs/{host}.crt"), CAP))
                    .map(|text| anchors(&text)),
            ]
        } else {
            Vec::new()
        };
        own.into_iter().filter(|found| *found != Fact::Absent).fold(roots, |roots, found| {
            let anchors = roots.anchors.clone().and_then(|known| found.map(|more| [known, more].concat()));
            Arc::new(Roots { anchors, ..(*roots).clone() })
        })
    }

    fn of_docker(&self, name: &str) -> Vec<Fact<Vec<TrustAnchor<'static>>>> {
        self.in_directory(&format!("/etc/docker/certs.d/{name}"), ".crt")
    }

    /// `mc` takes every file of the directory, whatever it is called (`minio/pkg`, `certs.GetRootCAs`).
    fn of_mc(&self) -> Vec<Fact<Vec<TrustAnchor<'static>>>> {
        let directories = match self.target.variable("MC_CONFIG_DIR") {
            Fact::Present(directory) if directory.starts_with('/') => vec![Fact::Present(directory.to_owned())],
            Fact::Present(_) => {
                let what = "the working directory, to which MC_CONFIG_DIR is relative".to_owned();
                vec![Fact::Unobserved(Reason::NotEmulated { what })]
            }
            Fact::Absent | Fact::Unobserved(Reason::NoProcess) => {
                let home = crate::probe::credentials::home(self.target);
                [".mc", ".mcli"].map(|name| home.as_ref().map(|home| format!("{home}/{name}"))).into()
            }
            Fact::Unobserved(reason) => vec![Fact::Unobserved(reason)],
        };
        let found = directories.into_iter().flat_map(|directory| match directory {
            Fact::Present(directory) => self.in_directory(&format!("{directory}/certs/CAs"), ""),
            Fact::Absent => Vec::new(),
            Fact::Unobserved(reason) => vec![Fact::Unobserved(reason)],
        });
        found.collect()
    }

    /// The certificates in the files of a directory whose names have this end.
    fn in_directory(&self, directory: &str, end: &str) -> Vec<Fact<Vec<TrustAnchor<'static>>>> {
        match fact(self.target.root.list(directory, LISTED)) {
            Fact::Absent => Vec::new(),
            Fact::Unobserved(reason) => vec![Fact::Unobserved(reason)],
            // The root may be in a file that is not among those that were listed.
            Fact::Present((_, true)) => {
                vec![Fact::Unobserved(Reason::Truncated { at: LISTED as u64, what: directory.to_owned() })]
            }
            Fact::Present((names, false)) => {
                let files = names.iter().filter(|name| name.ends_with(end) && !name.starts_with(".."));
                let read = |name: &String| fact(self.target.root.read(&format!("{directory}/{name}"), CAP));
                files.map(|name| read(name).map(|text| anchors(&text))).collect()
            }
        }
    }

    fn look(&self, client: Client) -> Roots {
        match self.named(client) {
            Fact::Present((path, named_by)) => self.read(path, named_by),
            Fact::Absent => {
                let places: &[&str] = if client == Client::Nix { &NIX_PLACES } else { &PLACES };
                self.first_of(places)
            }
            Fact::Unobserved(reason) => unobserved(reason),
        }
    }

    /// What a variable or a setting names.
    fn named(&self, client: Client) -> Fact<(String, String)> {
        let variables: &[&str] = match client {
            Client::Nix => &["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"],
            Client::Aws => &["AWS_CA_BUNDLE", "SSL_CERT_FILE"],
            Client::Go => &["SSL_CERT_FILE"],
            Client::Curl => &["CURL_CA_BUNDLE", "SSL_CERT_FILE"],
        };
        if let Some(reason) = self.target.unread(variables) {
            return Fact::Unobserved(reason);
        }
        if client == Client::Nix {
            match &self.setting {
                Fact::Present(path) => return Fact::Present((path.clone(), SETTING.into())),
                Fact::Absent => {}
                Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
            }
        }
        let set = variables.iter().find_map(|name| Some((self.target.variable(name).present()?.to_string(), name)));
        match set.filter(|(path, _)| !path.is_empty() || client == Client::Nix) {
            Some((path, name)) => Fact::Present((path, (*name).to_owned())),
            None => Fact::Absent,
        }
    }

    fn first_of(&self, places: &[&str]) -> Roots {
        for place in places {
            match fact(self.target.root.look(place)) {
                Fact::Present(_) => return self.read((*place).to_owned(), "default".to_owned()),
                Fact::Absent => {}
                Fact::Unobserved(reason) => return unobserved(reason),
            }
        }
        Roots { path: Fact::Absent, named_by: Fact::Absent, anchors: Fact::Present(Vec::new()) }
    }

    fn read(&self, path: String, named_by: String) -> Roots {
        let anchors = fact(self.target.root.read(&path, CAP)).map(|text| anchors(&text));
        let anchors = match anchors {
            Fact::Absent => Fact::Present(Vec::new()),
            other => other,
        };
        Roots { path: Fact::Present(path), named_by: Fact::Present(named_by), anchors }
    }
}

fn unobserved(reason: Reason) -> Roots {
    let reason = || Fact::Unobserved(reason.clone());
    Roots {
        path: reason(),
        named_by: reason(),
        anchors: Fact::Unobserved(reason().reason().cloned().unwrap_or(Reason::NotRecorded)),
    }
}

/// Variables that name a bundle.
const VARIABLES: [&str; 6] =
    ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE"];

/// The bundles that a variable or the setting names, whether there is anything or not. A user without a process has no variables.
pub fn named(target: &Target<'_>, nix: &Nix) -> Fact<List<Bundle>> {
    let mut list = List { items: Vec::new(), more: target.unread(&VARIABLES) };
    for name in VARIABLES {
        if let Some(path) = target.variable(name).present().filter(|path| !path.is_empty()) {
            list.items.push(one(target, name, path));
        }
    }
    match Bundles::new(target, nix).setting {
        Fact::Present(path) if !path.is_empty() => list.items.push(one(target, SETTING, &path)),
        Fact::Present(_) | Fact::Absent | Fact::Unobserved(Reason::NoProcess) => {}
        Fact::Unobserved(reason) => list.more = list.more.or(Some(reason)),
    }
    Fact::Present(list)
}

fn one(target: &Target<'_>, named_by: &str, path: &str) -> Bundle {
    let (named_by, path) = (named_by.to_owned(), path.to_owned());
    let seen = fact(target.root.look(&path));
    let exists = match &seen {
        Fact::Absent => Fact::Present(false),
        other => other.as_ref().map(|_| true),
    };
    if seen.present().is_none_or(|seen| seen.kind == Kind::Directory) {
        let state = seen.map(|_| ());
        return Bundle {
            named_by,
            path,
            exists,
            readable: state.clone().map(|()| true),
            roots: state.and_then(|()| Fact::Absent),
        };
    }
    let (readable, roots) = match target.root.read(&path, CAP) {
        Ok(text) => {
            let count = CertificateDer::pem_slice_iter(&text).filter(Result::is_ok).count();
            (Fact::Present(true), Fact::Present(u32::try_from(count).unwrap_or(u32::MAX)))
        }
        // Not for us is not for this context, as far as its identity could be taken on.
        Err(LookError::Refused { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => {
            (Fact::Present(false), Fact::Absent)
        }
        Err(error) => {
            let reason = reason(error);
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason))
        }
    };
    Bundle { named_by, path, exists, readable, roots }
}

/// The digest of the first certificate of a file: the leaf, where it is a server's chain (`nginx`, `ssl_certificate`). A key in the same file is not kept.
pub fn leaf_in(target: &Target<'_>, path: &str) -> Fact<String> {
    let text = match target.root.read(path, CAP).map(Zeroizing::new) {
        Ok(text) => text,
        Err(error) => return Fact::Unobserved(reason(error)),
    };
    let first = CertificateDer::pem_slice_iter(&text).find_map(Result::ok);
    let none = || Reason::Malformed { path: path.to_owned(), line: None, detail: "holds no certificate".to_owned() };
    first.map_or_else(|| Fact::Unobserved(none()), |leaf| Fact::Present(fingerprint(&leaf)))
}

/// The certificates of a PEM file. What does not parse is passed over, as OpenSSL does.
fn anchors(text: &[u8]) -> Vec<TrustAnchor<'static>> {
    let certificates = CertificateDer::pem_slice_iter(text).filter_map(Result::ok);
    certificates.filter_map(|der| webpki::anchor_from_trusted_cert(&der).ok().map(|anchor| anchor.to_owned())).collect()
}
