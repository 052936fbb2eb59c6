//! The effective Nix settings of this context, where each comes from, and what a client here asks of the daemon.
//!
//! Reads `nix.conf` where this context's Nix would (`src/libstore/globals.cc`, `loadConfFile`), its includes, `NIX_CONFIG`, and for
//! names of users the root's own passwd and group files. Nix itself is not run. Values that may hold credentials are not kept.

mod conf_files;
mod home;
mod trust;

use crate::formats::nix_conf::effective::{self, Assignment, Effective, Value, truth};
use crate::formats::nix_conf::settings::{self, Default as Fallback, Kind, Reach};
use crate::formats::store_reference::{builders_without_secrets, without_secrets};
use crate::probe::Target;
use crate::probe::store::client;
use crate::snapshot::facts::{ConfProblem, Nix, Request, Setting};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};
use conf_files::{Gathered, IncludeOrder};

/// Longest name of a setting that is repeated.
const LONGEST_NAME: usize = 128;

/// Looks at the Nix settings of this context.
pub fn observe(target: &Target<'_>) -> Nix {
    let gathered = conf_files::gather(target);
    let settled = settle(&gathered, client::release(target));
    let more = settled.unsettled.clone();
    let problems = problems(&gathered, &settled.effective);
    let list = |items: Vec<Setting>| Fact::Present(List { items, more: more.clone() });
    let mut nix = Nix {
        files: Fact::Present(List { items: gathered.files, more: gathered.unknown }),
        settings: list(settled.effective.values.iter().map(|(name, value)| setting(&settled, name, value)).collect()),
        problems: Fact::Present(List { items: problems, more: more.clone() }),
        requests: Fact::Present(List { items: requests(&settled), more: more.or_else(|| settled.any_ambiguous()) }),
        substituters: settled.tokens("substituters").map(clean),
        trusted_public_keys: settled.tokens("trusted-public-keys"),
        trusted_substituters: settled.tokens("trusted-substituters").map(clean),
        trusted_users: settled.tokens("trusted-users"),
        allowed_users: settled.tokens_or("allowed-users", &["*"]),
        netrc_file: settled.text_or("netrc-file", || gathered.system_directory.map(|path| format!("{path}/netrc"))),
        sandbox: settled.text_or("sandbox", || Fact::Present("true".to_owned())),
        require_sigs: settled.text_or("require-sigs", || Fact::Present("true".to_owned())).and_then(|text| {
            truth(&text).map_or_else(|| Fact::Unobserved(Reason::NotEmulated { what: text }), Fact::Present)
        }),
        experimental_features: settled.tokens("experimental-features"),
        system_features: settled.tokens_or_absent("system-features"),
        trust: Default::default(),
    };
    nix.trust = trust::observe(target, &nix.trusted_users, &nix.allowed_users);
    nix
}

/// The substituters as they are written, in the order of `nix.substituters`, which holds them without their user part; none where they are not
/// known. For the login that an address itself holds.
pub fn substituters_as_written(target: &Target<'_>) -> Vec<Secret> {
    let settled = settle(&conf_files::gather(target), client::release(target));
    let tokens = settled.tokens("substituters");
    tokens.present().into_iter().flatten().map(|text| Secret::from(text.as_str())).collect()
}

/// The words of a setting as they are written, user parts of addresses included, each with where it stands; absent where nothing sets it. For what has
/// to know the user of `ssh://user@host`.
pub fn as_written(target: &Target<'_>, name: &str) -> Fact<Vec<(String, String)>> {
    let settled = settle(&conf_files::gather(target), client::release(target));
    settled.given(name).map(|value| {
        let origin = |token: &effective::Token| token.origin.as_ref().map(|(origin, _)| origin.clone());
        value.tokens.iter().map(|token| (token.text.clone(), origin(token).unwrap_or_default())).collect()
    })
}

/// The file of remote builders where no setting names another: `machines` beside the system's `nix.conf`.
pub fn machines_file(target: &Target<'_>) -> Fact<String> {
    match conf_files::gather(target).system_directory {
        Fact::Unobserved(Reason::NoProcess) => Fact::Present("/etc/nix/machines".to_owned()),
        directory => directory.map(|directory| format!("{directory}/machines")),
    }
}

/// The settings, and why they may be other ones.
struct Settled {
    effective: Effective,
    unsettled: Option<Reason>,
    /// Names whose value depends on when includes are applied, which releases do differently.
    ambiguous: Vec<String>,
}

/// Applies what was gathered in the order of this context's release. Where the release is not known, both orders are applied, and a
/// setting that comes out differently is not settled.
fn settle(gathered: &Gathered, release: Option<(u32, u32)>) -> Settled {
    let in_order = |order| effective::apply(gathered.assignments.get(order));
    let (effective, other) = match release.and_then(IncludeOrder::of_release) {
        Some(order) => (in_order(order), None),
        None => (in_order(IncludeOrder::InPlace), Some(in_order(IncludeOrder::First))),
    };
    let differs = |name: &&String| {
        let text = |one: &Effective| one.values.get(*name).map(Value::text);
        other.as_ref().is_some_and(|other| text(other) != text(&effective))
    };
    let ambiguous: Vec<String> = effective.values.keys().filter(differs).cloned().collect();
    let fatal = effective.problems.iter().find(|problem| problem.fatal).map(|problem| {
        let (path, line) = problem.origin.rsplit_once(':').unwrap_or((&problem.origin, ""));
        Reason::Malformed { path: path.to_owned(), line: line.parse().ok(), detail: problem.detail.clone() }
    });
    let unsettled = gathered.fatal.clone().or(fatal).or_else(|| gathered.unknown.clone());
    Settled { effective, unsettled, ambiguous }
}

impl Settled {
    /// Why the value of a setting is not known, if it is not.
    fn doubt(&self, name: &str) -> Option<Reason> {
        self.unsettled.clone().or_else(|| self.own_doubt(name))
    }

    /// What makes this one setting uncertain, whatever else was read.
    fn own_doubt(&self, name: &str) -> Option<Reason> {
        if self.is_ambiguous(name) {
            return Some(order_of_includes());
        }
        let computed = self.effective.values.get(name).is_some_and(|value| value.on_unknown_default);
        computed.then(|| Reason::NotEmulated { what: format!("the default of `{name}`, which Nix computes") })
    }

    fn is_ambiguous(&self, name: &str) -> bool {
        self.ambiguous.iter().any(|other| other == name)
    }

    fn any_ambiguous(&self) -> Option<Reason> {
        (!self.ambiguous.is_empty()).then(order_of_includes)
    }

    fn given(&self, name: &str) -> Fact<&Value> {
        match self.doubt(name) {
            Some(reason) => Fact::Unobserved(reason),
            None => self.effective.values.get(name).into(),
        }
    }

    fn tokens_or_absent(&self, name: &str) -> Fact<Vec<String>> {
        self.given(name).map(|value| value.tokens.iter().map(|token| token.text.clone()).collect())
    }

    fn tokens_or(&self, name: &str, default: &[&str]) -> Fact<Vec<String>> {
        match self.tokens_or_absent(name) {
            Fact::Absent => Fact::Present(default.iter().map(|text| (*text).to_owned()).collect()),
            given => given,
        }
    }

    fn tokens(&self, name: &str) -> Fact<Vec<String>> {
        match settings::lookup(name).map(|known| known.default) {
            Some(Fallback::Known(tokens)) => self.tokens_or(name, tokens),
            _ => self.tokens_or_absent(name),
        }
    }

    fn text_or(&self, name: &str, default: impl FnOnce() -> Fact<String>) -> Fact<String> {
        match self.given(name).map(Value::text) {
            Fact::Absent => default(),
            given => given,
        }
    }
}

fn order_of_includes() -> Reason {
    Reason::NotEmulated { what: "the order of includes of an unknown release of Nix".to_owned() }
}

fn setting(settled: &Settled, name: &str, value: &Value) -> Setting {
    let shown = if settings::is_secret(name) {
        Fact::Unobserved(Reason::Withheld)
    } else if let Some(reason) = settled.own_doubt(name) {
        Fact::Unobserved(reason)
    } else if name == "builders" {
        Fact::Present(builders_without_secrets(&value.text()))
    } else {
        Fact::Present(value.text().split(' ').map(without_secrets).collect::<Vec<_>>().join(" "))
    };
    Setting { name: short(name), value: shown, origins: value.origins.clone(), level: value.level.word().to_owned() }
}

/// One element per value that somebody wrote for a setting which only the daemon can honour.
fn requests(settled: &Settled) -> Vec<Request> {
    let mut requests = Vec::new();
    let certain = settled.effective.values.iter().filter(|(name, _)| !settled.is_ambiguous(name));
    for (name, value) in certain {
        let Some(known) = value.known.filter(|known| known.reach == Reach::Daemon && known.kind != Kind::Map) else {
            continue;
        };
        if known.kind.is_appendable() {
            requests.extend(value.tokens.iter().filter_map(|token| {
                let (origin, level) = token.origin.clone()?;
                Some(request(name, &token.text, origin, level.word()))
            }));
        } else if let Some(origin) = value.origins.last() {
            requests.push(request(name, &value.text(), origin.clone(), value.level.word()));
        }
    }
    requests
}

fn request(setting: &str, value: &str, origin: String, level: &str) -> Request {
    let value = if setting == "builders" { builders_without_secrets(value) } else { without_secrets(value) };
    Request { setting: setting.to_owned(), value, origin, level: level.to_owned() }
}

fn problems(gathered: &Gathered, effective: &Effective) -> Vec<ConfProblem> {
    let said = effective.problems.iter().map(|problem| ConfProblem {
        origin: problem.origin.clone(),
        detail: short(&problem.detail),
        fatal: problem.fatal,
    });
    gathered.problems.iter().cloned().chain(said).collect()
}

fn clean(values: Vec<String>) -> Vec<String> {
    values.iter().map(|value| without_secrets(value)).collect()
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

/// Assignments in the two orders in which releases apply includes.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    in_place: Vec<Assignment>,
    includes_first: Vec<Assignment>,
}

impl Orders {
    fn get(&self, order: IncludeOrder) -> &[Assignment] {
        match order {
            IncludeOrder::InPlace => &self.in_place,
            IncludeOrder::First => &self.includes_first,
        }
    }
}

#[cfg(test)]
mod tests;
