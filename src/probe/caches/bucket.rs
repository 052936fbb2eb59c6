//! A cache in a bucket, `s3://`: what the store says to the key that Nix here would show it, and which of the paths lie in it.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::directory::{MOST_SERVED, found, malformed, unseen};
use super::paths::Candidates;
use super::standing::Keys;
use crate::formats::{narinfo, nix_cache_info};
use crate::probe::logins::bucket::{Bucket, Entry, Object};
use crate::snapshot::facts::{ServedCache, ServedPath};
use crate::snapshot::{Fact, List, Reason};

/// How many paths are asked for at a time.
const AT_ONCE: usize = 4;

/// One bucket and what it is asked.
pub struct Asked {
    bucket: Arc<Bucket>,
    candidates: Candidates,
    keys: Keys,
}

impl Asked {
    pub fn new(bucket: Bucket, candidates: &Candidates, keys: &Keys) -> Self {
        Self { bucket: Arc::new(bucket), candidates: candidates.clone(), keys: keys.clone() }
    }

    /// What is known before asking.
    pub fn unanswered(&self, cache: &mut ServedCache, reason: &Reason) {
        unseen(cache, reason);
        cache.login = self.bucket.login();
        // Whoever has a key asks with it at once; nothing is asked twice.
        let unseen = || Fact::Unobserved(reason.clone());
        (cache.status, cache.login_status) = match &cache.login {
            Fact::Present(_) => (Fact::Absent, unseen()),
            Fact::Absent => (unseen(), Fact::Absent),
            Fact::Unobserved(_) => (unseen(), unseen()),
        };
    }

    /// Asks it.
    pub async fn ask(self, mut cache: ServedCache) -> ServedCache {
        let (outcome, status, info) = match self.bucket.enter().await {
            Entry::Answered { outcome, status, info } => (outcome, status, info),
            Entry::Nobody => return super::serve::nobody(cache),
            Entry::Unclear(reason) => {
                self.unanswered(&mut cache, &reason);
                return cache;
            }
        };
        cache.answers = Fact::Present(true);
        let said = |is_so: bool| if is_so { Fact::Present(status) } else { Fact::Absent };
        let with_key = cache.login.present().is_some();
        (cache.status, cache.login_status) = (said(!with_key), said(with_key));
        cache.admitted = match outcome.as_str() {
            "accepted" => Fact::Present(true),
            // Nix may be let in with the role of the machine, which is not asked for.
            "not-s3" | "redirected" | "unsigned" => Fact::Absent,
            _ => Fact::Present(false),
        };
        let info = match info {
            Object::Bytes(text) => nix_cache_info::parse(&text),
            Object::Missing => None,
            Object::Unclear(reason) => {
                cache.kind = Fact::Unobserved(reason.clone());
                cache.store_dir = Fact::Unobserved(reason.clone());
                cache.priority = Fact::Unobserved(reason.clone());
                cache.mass_query = Fact::Unobserved(reason.clone());
                cache.paths = Fact::Unobserved(reason);
                return cache;
            }
        };
        let is_cache = info.is_some();
        cache.kind = Fact::Present(if is_cache { "s3" } else { "http" }.to_owned());
        let known = info.unwrap_or_default();
        cache.store_dir = known.store.clone().into();
        cache.priority = known.priority.into();
        cache.mass_query = known.want_mass_query.into();
        cache.paths = if is_cache { self.paths().await } else { Fact::Absent };
        cache
    }

    /// The first of the paths that lie in it, in the order of the candidates.
    async fn paths(&self) -> Fact<List<ServedPath>> {
        let mut list = List::complete(Vec::new());
        for group in self.candidates.paths.chunks(AT_ONCE) {
            let mut running = JoinSet::new();
            for (index, path) in group.iter().enumerate() {
                let (bucket, name) = (Arc::clone(&self.bucket), format!("{}.narinfo", path.hash_part()));
                running.spawn(async move { (index, bucket.read(&name).await, name) });
            }
            let mut answers = running.join_all().await;
            answers.sort_by_key(|(index, ..)| *index);
            for (_, object, name) in answers {
                match object {
                    Object::Bytes(text) if list.items.len() < MOST_SERVED => match narinfo::parse(&text) {
                        Ok(info) => list.items.push(self.keys.judge(&info)),
                        Err(error) => list.more = Some(malformed(name, &error)),
                    },
                    Object::Bytes(_) | Object::Missing => {}
                    Object::Unclear(reason) => list.more = Some(reason),
                }
            }
            if list.items.len() == MOST_SERVED {
                break;
            }
        }
        found(list)
    }
}
