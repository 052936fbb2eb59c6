//! What ssh, started by Nix in this context, makes of an address: the command line of Nix (`src/libstore/ssh.cc`), the user's file, the system's file.

use std::cell::RefCell;

use super::files::Files;
use super::named::Named;
use super::reads::Reads;
use crate::formats::ssh_config::{Effective, Included, effective};
use crate::probe::{Target, reason};
use crate::snapshot::facts::Identity;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, LookError};

/// The most files of known keys that ssh takes from one option (`readconf.h`, `SSH_MAX_HOSTS_FILES`).
const MOST_KNOWN_FILES: usize = 32;

/// The files, read once for all addresses.
pub struct Configuration<'a> {
    target: &'a Target<'a>,
    sources: RefCell<Files<'a>>,
    files: Vec<(bool, Included)>,
    user: Fact<String>,
    /// `NIX_SSHOPTS`, where it is understood.
    options: Result<Options, Reason>,
}

/// What `NIX_SSHOPTS` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Options {
    set: Vec<(String, String)>,
    identities: Vec<String>,
}

/// A private key that ssh would offer.
pub struct Offered {
    pub path: Fact<String>,
    pub named_by: &'static str,
    pub origin: Option<String>,
}

/// One address, as ssh takes it.
pub struct Connection {
    pub host_name: Fact<String>,
    pub port: Fact<u16>,
    pub user: Fact<String>,
    pub proxy: Fact<String>,
    pub strict: Fact<String>,
    pub agent: Fact<bool>,
    /// `HostKeyAlias`.
    pub alias: Fact<String>,
    /// Files of known keys in order: level and path.
    pub known: Fact<Vec<(&'static str, String)>>,
    /// Private keys in order.
    pub identities: Vec<Offered>,
    pub more_identities: Option<Reason>,
    /// Why a key that no file knows may be known all the same: a command or the DNS is asked.
    pub further: Option<Reason>,
    /// Whether the configuration itself says which types of host keys are asked for.
    pub own_types: bool,
}

impl Connection {
    /// The name under which the host's key is looked up.
    pub fn key_name(&self) -> Fact<String> {
        self.alias.clone().or_else_absent(|| {
            self.host_name.as_ref().and_then(|host| {
                self.port.as_ref().map(|port| if *port == 22 { host.clone() } else { format!("[{host}]:{port}") })
            })
        })
    }
}

impl Connection {
    /// The names under which other findings know the host.
    pub fn shared_names(&self) -> Vec<String> {
        let (Some(host), Some(port)) = (self.host_name.present(), self.port.present()) else { return Vec::new() };
        vec![host.clone(), format!("{host}:{port}")]
    }
}

trait OrElse<T> {
    fn or_else_absent(self, other: impl FnOnce() -> Fact<T>) -> Fact<T>;
}

impl<T> OrElse<T> for Fact<T> {
    fn or_else_absent(self, other: impl FnOnce() -> Fact<T>) -> Fact<T> {
        match self {
            Self::Absent => other(),
            known => known,
        }
    }
}

fn not_emulated(what: impl Into<String>) -> Reason {
    Reason::NotEmulated { what: what.into() }
}

fn option(effective: &Effective, name: &str) -> Fact<String> {
    match effective.word(name) {
        Ok(word) => word.map(str::to_owned).into(),
        Err(place) => Fact::Unobserved(not_emulated(place)),
    }
}

impl<'a> Configuration<'a> {
    pub fn read(target: &'a Target<'a>, identity: &Identity, reads: &'a Reads<'a>) -> Self {
        let home = match &identity.passwd.home {
            Fact::Present(home) => Ok(home.trim_end_matches('/').to_owned()),
            Fact::Absent => Err("the account of this uid, which the user database does not have".to_owned()),
            Fact::Unobserved(reason) => Err(reason.to_string()),
        };
        let sources = Files { target, home, reads };
        let files = [(true, sources.of_user()), (false, sources.of_system())];
        let files = files.into_iter().filter_map(|(of_user, file)| Some((of_user, file?))).collect();
        let options = match target.variable("NIX_SSHOPTS") {
            Fact::Present(text) => options(text).ok_or_else(|| not_emulated("NIX_SSHOPTS")),
            Fact::Absent | Fact::Unobserved(Reason::NoProcess) => Ok(Options::default()),
            Fact::Unobserved(reason) => Err(reason),
        };
        Self { target, sources: RefCell::new(sources), files, user: identity.passwd.name.clone(), options }
    }

    /// Applies the configuration to one address.
    pub fn connection(&self, named: &Named) -> Connection {
        let mut effective_options = Effective::of(self.user.present().cloned());
        let options = match &self.options {
            Ok(_) if named.unclear_port => {
                Err(not_emulated("a port in the address, which Nix before 2.31 takes for a part of the name"))
            }
            options => options.clone(),
        };
        let options = options.unwrap_or_else(|reason| {
            effective_options.broken = Some(match reason {
                Reason::NotEmulated { what } => what,
                reason => reason.to_string(),
            });
            Options::default()
        });
        named.user.iter().for_each(|user| effective_options.set("user", vec![user.clone()]));
        for (name, value) in &options.set {
            effective_options.set(&name.to_ascii_lowercase(), value.split(' ').map(str::to_owned).collect());
        }
        named.port.iter().for_each(|port| effective_options.set("port", vec![port.to_string()]));
        effective(&named.host, &self.files, &mut *self.sources.borrow_mut(), &mut effective_options);
        self.settle(named, &effective_options, &options)
    }

    fn settle(&self, named: &Named, effective: &Effective, options: &Options) -> Connection {
        let host_name = host_name(named, effective);
        let port = option(effective, "port").or_else_absent(|| Fact::Present("22".to_owned())).and_then(|text| {
            text.parse().map_or_else(|_| Fact::Unobserved(not_emulated("a port that is no number")), Fact::Present)
        });
        let user = option(effective, "user").or_else_absent(|| self.user.clone());
        let alias = option(effective, "hostkeyalias").map(|alias| alias.to_ascii_lowercase());
        let expansion = Expansion { named, host_name: &host_name, port: &port, user: &user, alias: &alias, all: self };
        let known = expansion.known_hosts(effective);
        let (identities, more_identities) = expansion.identities(effective, options);
        let agent = expansion.agent(effective);
        Connection {
            proxy: proxy(effective),
            strict: strict(effective),
            further: further(effective),
            own_types: effective.words("hostkeyalgorithms") != Ok(None),
            agent,
            known,
            identities,
            more_identities,
            host_name,
            port,
            user,
            alias,
        }
    }
}

/// `-p 22 -i key -o Name=value -4`: what of it is understood in full. Releases of Nix split quotes in two ways: none is understood.
fn options(text: &str) -> Option<Options> {
    if text.contains(['"', '\'', '\\']) {
        return None;
    }
    let mut options = Options::default();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let (flag, inline) = word.split_at_checked(2)?;
        if matches!(flag, "-q" | "-v" | "-C" | "-x" | "-T" | "-A" | "-a") && inline.is_empty() {
            continue;
        }
        let value = if inline.is_empty() { words.next()? } else { inline };
        match flag {
            "-p" => options.set.push(("port".into(), value.into())),
            "-l" => options.set.push(("user".into(), value.into())),
            "-i" => options.identities.push(value.into()),
            "-o" => match value.split_once('=')? {
                (name, path) if name.eq_ignore_ascii_case("identityfile") => options.identities.push(path.into()),
                (name, value) => options.set.push((name.into(), value.into())),
            },
            _ => return None,
        }
    }
    Some(options)
}

fn host_name(named: &Named, effective: &Effective) -> Fact<String> {
    match option(effective, "canonicalizehostname") {
        Fact::Present(word) if word != "no" && word != "none" => {
            return Fact::Unobserved(not_emulated("CanonicalizeHostname"));
        }
        Fact::Unobserved(reason) => return Fact::Unobserved(reason),
        Fact::Present(_) | Fact::Absent => {}
    }
    option(effective, "hostname").or_else_absent(|| Fact::Present("%h".to_owned())).and_then(|text| {
        let name = expand(&text, |token| (token == 'h').then(|| named.host.clone()));
        name.map_or_else(
            || Fact::Unobserved(not_emulated("the tokens of HostName")),
            |name| Fact::Present(name.to_ascii_lowercase()),
        )
    })
}

fn proxy(effective: &Effective) -> Fact<String> {
    for (name, word) in [("proxyjump", "ProxyJump"), ("proxycommand", "ProxyCommand")] {
        match option(effective, name) {
            Fact::Present(value) if value != "none" => return Fact::Present(word.to_owned()),
            Fact::Unobserved(reason) => return Fact::Unobserved(reason),
            Fact::Present(_) | Fact::Absent => {}
        }
    }
    Fact::Absent
}

fn strict(effective: &Effective) -> Fact<String> {
    option(effective, "stricthostkeychecking").or_else_absent(|| Fact::Present("ask".to_owned())).map(|word| match word
        .to_ascii_lowercase()
        .as_str()
    {
        "yes" | "true" => "yes".to_owned(),
        "no" | "false" | "off" => "no".to_owned(),
        word => word.to_owned(),
    })
}

fn further(effective: &Effective) -> Option<Reason> {
    for (name, what) in [("knownhostscommand", "KnownHostsCommand"), ("verifyhostkeydns", "VerifyHostKeyDNS")] {
        match option(effective, name) {
            Fact::Present(word) if !matches!(word.as_str(), "none" | "no" | "false") => {
                return Some(not_emulated(what));
            }
            Fact::Unobserved(reason) => return Some(reason),
            Fact::Present(_) | Fact::Absent => {}
        }
    }
    None
}

/// What the tokens of `ssh_config(5)` stand for.
struct Expansion<'s, 'a> {
    named: &'s Named,
    host_name: &'s Fact<String>,
    port: &'s Fact<u16>,
    user: &'s Fact<String>,
    alias: &'s Fact<String>,
    all: &'s Configuration<'a>,
}

impl Expansion<'_, '_> {
    fn home(&self) -> Result<String, Reason> {
        self.all.sources.borrow().home.clone().map_err(not_emulated)
    }

    /// A path with `~` and tokens.
    fn path(&self, word: &str) -> Fact<String> {
        let unknown = || Fact::Unobserved(not_emulated("a path of ssh_config with tokens"));
        let word = match word.strip_prefix("~/") {
            Some(rest) => match self.home() {
                Ok(home) => format!("{home}/{rest}"),
                Err(reason) => return Fact::Unobserved(reason),
            },
            None if word.starts_with('~') || word.contains("${") => return unknown(),
            None => word.to_owned(),
        };
        let path = expand(&word, |token| match token {
            'h' => self.host_name.present().cloned(),
            'n' => Some(self.named.host.clone()),
            'p' => self.port.present().map(u16::to_string),
            'r' => self.user.present().cloned(),
            'u' => self.all.user.present().cloned(),
            'd' => self.home().ok(),
            'i' => Some(rustix::process::getuid().as_raw().to_string()),
            'k' => match self.alias {
                Fact::Present(alias) => Some(alias.clone()),
                Fact::Absent => Some(self.named.host.clone()),
                Fact::Unobserved(_) => None,
            },
            _ => None,
        });
        path.filter(|path| path.starts_with('/')).map_or_else(unknown, Fact::Present)
    }

    fn known_hosts(&self, effective: &Effective) -> Fact<Vec<(&'static str, String)>> {
        let mut files = Vec::new();
        let defaults = [
            ("user", "userknownhostsfile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]),
            ("global", "globalknownhostsfile", ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]),
        ];
        for (level, name, defaults) in defaults {
            // Nix gives ssh a file of its own instead of the user's.
            if level == "user" && self.named.told.is_some() {
                continue;
            }
            let words = match effective.words(name) {
                Ok(Some(words)) => words.to_vec(),
                Ok(None) => defaults.map(str::to_owned).to_vec(),
                Err(place) => return Fact::Unobserved(not_emulated(place)),
            };
            if words.len() > MOST_KNOWN_FILES {
                return Fact::Unobserved(not_emulated(format!("more files in {name} than ssh takes")));
            }
            for word in words.iter().filter(|word| *word != "none") {
                match self.path(word) {
                    Fact::Present(path) => files.push((level, path)),
                    Fact::Absent => {}
                    Fact::Unobserved(reason) => return Fact::Unobserved(reason),
                }
            }
        }
        Fact::Present(files)
    }

    fn identities(&self, effective: &Effective, options: &Options) -> (Vec<Offered>, Option<Reason>) {
        let offered = |word: &str, named_by, origin| Offered { path: self.path(word), named_by, origin };
        let mut all = Vec::new();
        all.extend(options.identities.iter().map(|word| offered(word, "nix", Some("NIX_SSHOPTS".to_owned()))));
        all.extend(self.named.key.iter().map(|word| offered(word, "nix", Some(self.named.origin.clone()))));
        let configured = effective.identities.iter().filter(|(word, _)| word != "none");
        all.extend(configured.map(|(word, place)| offered(word, "ssh_config", Some(place.clone()))));
        let doubt = effective.more_identities.clone().or_else(|| effective.broken.clone());
        if all.is_empty() && effective.identities.is_empty() && doubt.is_none() {
            let names = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa"];
            all.extend(names.map(|name| offered(&format!("~/.ssh/{name}"), "default", None)));
        }
        (all, doubt.map(not_emulated))
    }

    fn agent(&self, effective: &Effective) -> Fact<bool> {
        let path = option(effective, "identityagent").or_else_absent(|| Fact::Present("SSH_AUTH_SOCK".to_owned()));
        let path = path.and_then(|word| match word.as_str() {
            "none" => Fact::Absent,
            "SSH_AUTH_SOCK" => self.all.target.variable("SSH_AUTH_SOCK").map(str::to_owned),
            variable if variable.starts_with('$') => {
                let name = variable.trim_start_matches(['$', '{']).trim_end_matches('}');
                self.all.target.variable(name).map(str::to_owned)
            }
            word => self.path(word),
        });
        match path {
            Fact::Present(path) => match self.all.target.root.look(&path) {
                Ok(seen) => Fact::Present(seen.kind == Kind::Socket),
                // What this identity may not look at, its ssh may not connect to.
                Err(LookError::Refused { errno, .. }) if errno == "EACCES" => Fact::Present(false),
                Err(LookError::NotFound { .. }) => Fact::Present(false),
                Err(error) => Fact::Unobserved(reason(error)),
            },
            Fact::Absent => Fact::Present(false),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }
    }
}

/// Puts values for tokens; `None` for one that is not known.
fn expand(text: &str, value: impl Fn(char) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next()? {
                '%' => out.push('%'),
                token => out.push_str(&value(token)?),
            },
            letter => out.push(letter),
        }
    }
    Some(out)
}
