//! How often a caller may compare a secret: otherwise a job that sets its own could guess another context's, one answer at a time.
//!
//! Counted is not what a row is called, which a caller has a say in, but the other side's secret: with each one, a class of callers may compare one
//! secret of its own within [`PAUSE`]. The same one may be compared again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::check::Judged;

/// How long a class of callers is held to what it compared.
const PAUSE: Duration = Duration::from_secs(60);
/// The most that is remembered. Where there is no more room, nothing more is compared.
const MOST: usize = 10_000;

type Print = [u8; 32];

/// What one answer would compare with one secret of another context.
#[derive(Default)]
struct Tries {
    own: BTreeSet<String>,
    rows: BTreeSet<usize>,
    several: bool,
}

/// What was compared within the last minute.
#[derive(Default)]
pub(super) struct Comparisons {
    /// By caller, check and the other side's secret: the caller's own, and when.
    known: BTreeMap<(Print, Print), (Print, Instant)>,
}

impl Comparisons {
    /// Makes those rows unknown that would compare another secret too soon.
    pub(super) fn hold(&mut self, class: &str, judged: &mut Judged<'_>, now: Instant) {
        self.known.retain(|_, (_, at)| now.saturating_duration_since(*at) < PAUSE);
        // With each of the others' secrets, by caller and check.
        let mut asked: BTreeMap<(Print, Print), Tries> = BTreeMap::new();
        for row in judged.compared() {
            for other in &row.others {
                let tries = asked.entry((print(&[class, row.check]), print(&[other]))).or_default();
                tries.own.extend(row.own.iter().map(|own| (*own).to_owned()));
                let many_here = row.own.len() > 1 && !row.all_equal;
                tries.several |= many_here || (!tries.rows.is_empty() && tries.own.len() > 1);
                tries.rows.insert(row.row);
            }
        }
        let mut held: BTreeMap<usize, String> = BTreeMap::new();
        for (key, tries) in asked {
            if let Some(why) = self.refusal(key, &tries, now) {
                held.extend(tries.rows.into_iter().map(|row| (row, why.clone())));
            }
        }
        held.into_iter().for_each(|(row, why)| judged.hold(row, &why));
    }

    /// Why this secret may not be compared with these now.
    fn refusal(&mut self, key: (Print, Print), tries: &Tries, now: Instant) -> Option<String> {
        if tries.several {
            return Some("several secrets of the caller would be compared with one of another context's".to_owned());
        }
        let texts: Vec<&str> = tries.own.iter().map(String::as_str).collect();
        let digest = print(&texts);
        match self.known.get(&key) {
            Some((known, _)) if *known == digest => None,
            Some((_, at)) => {
                let left = PAUSE.saturating_sub(now.saturating_duration_since(*at)).as_secs() + 1;
                Some(format!(
                    "another secret of this caller was compared here less than a minute ago; ask again in {left} s"
                ))
            }
            None if self.known.len() >= MOST => {
                Some("more secrets are being compared than are kept count of; ask again in a minute".to_owned())
            }
            None => {
                self.known.insert(key, (digest, now));
                None
            }
        }
    }
}

/// A digest of these texts. They are fingerprints under the server's key, or names of callers.
fn print(texts: &[&str]) -> Print {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().into()
}
