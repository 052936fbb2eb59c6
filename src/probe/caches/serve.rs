//! A cache behind HTTP: what it says of itself, with and without the login of this context, and which of the paths it serves.

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::directory::{MOST_SERVED, found, malformed, unseen};
use super::fetch::{Reply, get};
use super::login::Login;
use super::paths::Candidates;
use super::standing::Keys;
use crate::formats::{narinfo, nix_cache_info};
use crate::probe::reach::plan::Question;
use crate::snapshot::facts::{ServedCache, ServedPath};
use crate::snapshot::{Fact, List, Reason};

/// How many paths are asked for at a time.
const AT_ONCE: usize = 4;

/// One cache and what it is asked.
pub struct Asked {
    question: Question,
    /// Of the cache, without the last slash.
    base: String,
    login: Fact<Login>,
    candidates: Candidates,
    keys: Keys,
}

/// What came of one path.
enum Found {
    Path(Box<ServedPath>, bool),
    Nothing,
    Unclear(Reason),
}

impl Asked {
    pub fn new(question: &Question, path: String, login: Fact<Login>, candidates: &Candidates, keys: &Keys) -> Self {
        let base = path.trim_end_matches('/').to_owned();
        Self { question: question.clone(), base, login, candidates: candidates.clone(), keys: keys.clone() }
    }

    /// What is known before asking.
    pub fn unanswered(&self, cache: &mut ServedCache, reason: &Reason) {
        unseen(cache, reason);
        cache.status = Fact::Unobserved(reason.clone());
        cache.login = self.login.as_ref().map(|login| login.origin.clone());
        cache.login_status = Fact::Unobserved(reason.clone());
    }

    /// Asks it.
    pub async fn ask(self, mut cache: ServedCache, deadline: Instant) -> ServedCache {
        let path = format!("{}/nix-cache-info", self.base);
        let (status, headers, body) = match get(&self.question, &path, None, deadline).await {
            Reply::Answer { status, headers, body } => (status, headers, body),
            Reply::Nobody => return nobody(cache),
            Reply::Unclear(reason) => {
                self.unanswered(&mut cache, &reason);
                return cache;
            }
        };
        cache.answers = Fact::Present(true);
        cache.status = Fact::Present(status);
        cache.login_status = Fact::Absent;
        let (mut last, mut text, mut shown) = (Fact::Present(status), body, None);
        if is_refusal(status) {
            (cache.login_status, text, shown) = self.with_login(&path, deadline).await;
            if !matches!(cache.login_status, Fact::Absent) {
                last = cache.login_status.clone();
            }
        }
        if let Some(reason) = last.present().and_then(|status| busy(*status, &path)) {
            unseen(&mut cache, &reason);
            cache.answers = Fact::Present(true);
            return cache;
        }
        cache.admitted = last.as_ref().and_then(|status| match status {
            200 => Fact::Present(true),
            status if is_refusal(*status) => Fact::Present(false),
            _ => Fact::Absent,
        });
        let info = (last == Fact::Present(200)).then(|| nix_cache_info::parse(&text)).flatten();
        cache.kind = Fact::Present(kind(&self.question, &headers, info.is_some()).to_owned());
        let known = info.unwrap_or_default();
        cache.store_dir = known.store.clone().into();
        cache.priority = known.priority.into();
        cache.mass_query = known.want_mass_query.into();
        cache.paths = match &last {
            Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
            _ if cache.kind == Fact::Present("http".to_owned()) => Fact::Absent,
            _ => self.paths(shown, &mut cache.kind, deadline).await,
        };
        cache
    }

    /// Asks again with the login, if there is one that may be shown.
    async fn with_login(&self, path: &str, deadline: Instant) -> (Fact<u16>, Vec<u8>, Option<HeaderValue>) {
        let header = match self.login.as_ref().map(|login| login.header.as_ref()) {
            Fact::Present(Ok(header)) => header.clone(),
            Fact::Present(Err(reason)) => return (Fact::Unobserved(reason.clone()), Vec::new(), None),
            Fact::Absent => return (Fact::Absent, Vec::new(), None),
            Fact::Unobserved(reason) => return (Fact::Unobserved(reason), Vec::new(), None),
        };
        match get(&self.question, path, Some(&header), deadline).await {
            Reply::Answer { status, body, .. } => (Fact::Present(status), body, Some(header)),
            Reply::Nobody => {
                let reason = Reason::NotEmulated { what: "a cache that answered only once".to_owned() };
                (Fact::Unobserved(reason), Vec::new(), None)
            }
            Reply::Unclear(reason) => (Fact::Unobserved(reason), Vec::new(), None),
        }
    }

    /// The first of the paths that it serves, in the order of the candidates.
    async fn paths(
        &self,
        login: Option<HeaderValue>,
        kind: &mut Fact<String>,
        deadline: Instant,
    ) -> Fact<List<ServedPath>> {
        let mut list = List::complete(Vec::new());
        for group in self.candidates.paths.chunks(AT_ONCE) {
            let mut running = JoinSet::new();
            for (index, path) in group.iter().enumerate() {
                let place = format!("{}/{}.narinfo", self.base, path.hash_part());
                let (question, keys, login) = (self.question.clone(), self.keys.clone(), login.clone());
                running.spawn(async move {
                    let reply = get(&question, &place, login.as_ref(), deadline).await;
                    (index, judged(reply, &place, &keys))
                });
            }
            let mut answers = running.join_all().await;
            answers.sort_by_key(|(index, _)| *index);
            for (_, answer) in answers {
                match answer {
                    Found::Path(path, harmonia) if list.items.len() < MOST_SERVED => {
                        list.items.push(*path);
                        if harmonia && *kind == Fact::Present("nix-cache".to_owned()) {
                            *kind = Fact::Present("harmonia".to_owned());
                        }
                    }
                    Found::Path(..) | Found::Nothing => {}
                    Found::Unclear(reason) => list.more = Some(reason),
                }
            }
            if list.items.len() == MOST_SERVED {
                break;
            }
        }
        found(list)
    }
}

/// harmonia names a NAR by its hash and repeats the path's hash as a parameter.
fn is_of_harmonia(info: &narinfo::NarInfo) -> bool {
    info.url.starts_with("nar/") && info.url.ends_with(&format!(".nar?hash={}", info.path.hash_part()))
}

fn judged(reply: Reply, place: &str, keys: &Keys) -> Found {
    match reply {
        Reply::Answer { status: 200, body, .. } => match narinfo::parse(&body) {
            Ok(info) => Found::Path(Box::new(keys.judge(&info)), is_of_harmonia(&info)),
            Err(error) => Found::Unclear(malformed(place.to_owned(), &error)),
        },
        // Nix takes all of these for "not there" (`src/libstore/http-binary-cache-store.cc`).
        Reply::Answer { status: 403 | 404 | 410, .. } => Found::Nothing,
        Reply::Answer { status, .. } => {
            let detail = format!("answered with status {status}");
            Found::Unclear(Reason::Malformed { path: place.to_owned(), line: None, detail })
        }
        Reply::Nobody => Found::Unclear(Reason::Unreadable { path: place.to_owned(), errno: "no answer".to_owned() }),
        Reply::Unclear(reason) => Found::Unclear(reason),
    }
}

fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// Why an answer says nothing of the cache: the server is in no state to give one.
fn busy(status: u16, path: &str) -> Option<Reason> {
    let detail = format!("answered with status {status}");
    let is_busy = matches!(status, 408 | 425 | 429 | 500..=599);
    is_busy.then(|| Reason::Malformed { path: path.to_owned(), line: None, detail })
}

/// Nobody takes the connection.
pub fn nobody(mut cache: ServedCache) -> ServedCache {
    cache.answers = Fact::Present(false);
    (cache.kind, cache.admitted, cache.paths) = (Fact::Absent, Fact::Absent, Fact::Absent);
    (cache.status, cache.login_status) = (Fact::Absent, Fact::Absent);
    (cache.store_dir, cache.priority, cache.mass_query) = (Fact::Absent, Fact::Absent, Fact::Absent);
    cache
}

/// Which program, by what it says of itself.
fn kind(question: &Question, headers: &HeaderMap, is_cache: bool) -> &'static str {
    let has = |name: &str| headers.contains_key(name);
    if !is_cache {
        return "http";
    }
    if has("x-attic-cache-visibility") {
        "attic"
    } else if question.host == "cachix.org" || question.host.ends_with(".cachix.org") {
        "cachix"
    } else {
        "nix-cache"
    }
}
