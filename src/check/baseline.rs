//! The baseline: findings that were there when a shop began to look, recorded so that later runs fail on new ones only.
//!
//! A finding is held where check, subject and outcome are as recorded, its severity is no worse, and, of an unknown row, nothing else could
//! not be observed than was recorded. Contexts that are one participant today may be two tomorrow, and the subject is called after them: a finding
//! about the same thing is the recorded one too where each of its sides is a part of a recorded side. So an incoherence that can't be observed any
//! more is unknown and counts, and so is an unknown row that lost more than before. Judges a run that is done; reads no file.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::finding::{Finding, Outcome, Severity};
use super::run::Run;

/// The name and version of the document.
pub const SCHEMA: &str = "parallax.baseline/1";

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "parallax.baseline/1")]
pub struct Baseline {
    /// `parallax.baseline/1`.
    #[serde(deserialize_with = "this_version")]
    pub schema: String,
    /// The findings, by check and subject; each pair stands once.
    #[serde(deserialize_with = "each_once")]
    #[schemars(with = "Vec<Entry>")]
    pub findings: Vec<Entry>,
}

/// One recorded finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The check's id.
    pub check: String,
    /// What the row is about.
    pub subject: String,
    /// What it came to.
    pub outcome: Recorded,
    /// How bad an incoherence of this check was then.
    pub severity: Severity,
    /// The ids of the contexts of each side, in the order of the sides; none in a document of an earlier version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sides: Vec<Vec<String>>,
    /// What could not be observed, for an unknown row, sorted: context, fact and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

/// An outcome that a baseline records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// The claim did not hold.
    Incoherent,
    /// It could not be compared.
    Unknown,
}

/// What a run was held against, and which recorded findings it does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// The file.
    pub by: String,
    /// The recorded findings that are neither held nor open as something else, in the order of the file.
    pub past: Vec<Past>,
}

/// A recorded finding that today's run does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// The check's id.
    pub check: String,
    /// What the row was about.
    pub subject: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a recorded finding that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its check compared, and the claim holds: gone.
    Coherent,
    /// Its check looked everywhere and saw no such subject: gone.
    NotSeen,
    /// A waiver covers it now.
    Waived,
    /// Whether it is still there could not be determined.
    Undetermined,
}

impl Fate {
    /// The words used in every report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Coherent => "coherent now",
            Self::NotSeen => "no longer seen",
            Self::Waived => "waived now",
            Self::Undetermined => "could not be determined",
        }
    }

    /// Whether the finding is gone, as far as can be known.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Coherent | Self::NotSeen)
    }
}

impl Against {
    /// How many recorded findings are gone.
    pub fn gone(&self) -> usize {
        self.past.iter().filter(|past| past.fate.is_gone()).count()
    }
}

impl Recorded {
    fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Incoherent => Some(Self::Incoherent),
            Outcome::Unknown => Some(Self::Unknown),
            Outcome::Coherent | Outcome::Held | Outcome::Waived | Outcome::NotApplicable => None,
        }
    }
}

impl Baseline {
    /// Today's findings: those that are incoherent, and those that are unknown where unknown rows may not pass; held ones too.
    pub fn of(run: &Run) -> Self {
        let entry = |finding: &Finding| {
            let outcome = Recorded::of(finding.held.unwrap_or(finding.outcome))?;
            (outcome == Recorded::Incoherent || !run.allow_unknown).then(|| Entry {
                check: finding.check.clone(),
                subject: finding.subject.clone(),
                outcome,
                severity: finding.severity,
                sides: finding.participants.iter().map(|side| side.contexts.clone()).collect(),
                unseen: unseen(finding).into_iter().collect(),
            })
        };
        let mut findings: Vec<_> = run.findings.iter().filter_map(entry).collect();
        findings.sort_by(|one, two| (&one.check, &one.subject).cmp(&(&two.check, &two.subject)));
        Self { schema: SCHEMA.to_owned(), findings }
    }

    /// The JSON Schema of the document.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// Reads the document; the message of an error holds line and column.
    pub fn read(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// Holds the findings of a run that are recorded here, and says what became of the others. `by` is the file.
    pub fn hold(&self, by: &str, run: &mut Run) {
        let mut recorded: BTreeMap<(String, String), &Entry> =
            self.findings.iter().map(|entry| ((entry.check.clone(), entry.subject.clone()), entry)).collect();
        for finding in &mut run.findings {
            let key = (finding.check.clone(), finding.subject.clone());
            if recorded.get(&key).is_some_and(|entry| entry.covers(finding)) {
                recorded.remove(&key);
                finding.held = Some(finding.outcome);
                finding.outcome = Outcome::Held;
            }
        }
        let mut part = BTreeSet::new();
        for finding in run.findings.iter_mut().filter(|finding| finding.outcome != Outcome::Held) {
            let of_check = recorded.range((finding.check.clone(), String::new())..);
            let mut of_check = of_check.take_while(|((check, _), _)| *check == finding.check);
            if let Some((key, _)) = of_check.find(|(_, entry)| entry.is_part(finding) && entry.covers(finding)) {
                part.insert(key.clone());
                finding.held = Some(finding.outcome);
                finding.outcome = Outcome::Held;
            }
        }
        recorded.retain(|key, _| !part.contains(key));
        run.findings.sort_by_key(|finding| finding.outcome.place());
        let today = Today::of(run);
        let past = recorded.into_values().filter_map(|entry| {
            let fate = today.fate(entry)?;
            Some(Past { check: entry.check.clone(), subject: entry.subject.clone(), fate })
        });
        let past = past.collect();
        run.baseline = Some(Against { by: by.to_owned(), past });
    }
}

impl Entry {
    /// Whether the finding is about the same thing, each of its sides a part of a recorded one, and not all of them of the same: those who were on
    /// one side and disagree now are new, and so is the reverse of what was recorded.
    fn is_part(&self, finding: &Finding) -> bool {
        let sides: Vec<_> = finding.participants.iter().map(|side| side.contexts.clone()).collect();
        let place = |side: &Vec<String>| self.sides.iter().position(|was| side.iter().all(|id| was.contains(id)));
        let Some(places) = sides.iter().map(place).collect::<Option<Vec<_>>>() else { return false };
        // Those who should agree stand in the order of their ids; another order says who is held against whom.
        let of_equals = self.sides.is_sorted() && sides.is_sorted();
        self.check == finding.check
            && thing(&self.subject) == thing(&finding.subject)
            && !places.is_empty()
            && places.iter().collect::<BTreeSet<_>>().len() >= places.len().min(2)
            && (of_equals || places.first() == Some(&0))
    }

    fn covers(&self, finding: &Finding) -> bool {
        let recorded: BTreeSet<&String> = self.unseen.iter().collect();
        Recorded::of(finding.outcome) == Some(self.outcome)
            && finding.severity >= self.severity
            && unseen(finding).iter().all(|lost| recorded.contains(lost))
    }
}

/// What a subject is about, without the contexts that follow in brackets; empty for one that is called after contexts alone.
fn thing(subject: &str) -> &str {
    subject.rsplit_once(" (").map_or("", |(thing, _)| thing)
}

/// The rows of a run, found by their check and subject.
struct Today<'a> {
    rows: BTreeMap<(&'a str, &'a str), Vec<Outcome>>,
    /// The checks that compared something, and whether one of their rows was unknown, were it not for a waiver or a baseline.
    checks: BTreeMap<&'a str, bool>,
    /// Whether some context was missing or not looked from.
    blind: bool,
}

impl<'a> Today<'a> {
    fn of(run: &'a Run) -> Self {
        let blind = !run.missing.is_empty() || run.contexts.iter().any(|context| context.entry == "none");
        let mut today = Self { rows: BTreeMap::new(), checks: BTreeMap::new(), blind };
        for finding in &run.findings {
            let (check, subject) = (finding.check.as_str(), finding.subject.as_str());
            today.rows.entry((check, subject)).or_default().push(finding.outcome);
            let without = finding.waiver.as_ref().map(|waiver| waiver.instead_of).or(finding.held);
            *today.checks.entry(check).or_default() |= without.unwrap_or(finding.outcome) == Outcome::Unknown;
        }
        today
    }

    /// What became of an entry that covers nothing; `None` where its row is open as something else, which says so itself.
    fn fate(&self, entry: &Entry) -> Option<Fate> {
        let (check, subject) = (entry.check.as_str(), entry.subject.as_str());
        for outcome in self.rows.get(&(check, subject)).into_iter().flatten() {
            match outcome {
                Outcome::Coherent => return Some(Fate::Coherent),
                Outcome::Waived => return Some(Fate::Waived),
                Outcome::Incoherent | Outcome::Unknown | Outcome::Held => return None,
                Outcome::NotApplicable => {}
            }
        }
        let looked = self.checks.get(check) == Some(&false) && !self.blind;
        Some(if looked { Fate::NotSeen } else { Fate::Undetermined })
    }
}

/// What an unknown row could not observe.
fn unseen(finding: &Finding) -> BTreeSet<String> {
    if finding.held.unwrap_or(finding.outcome) != Outcome::Unknown {
        return BTreeSet::new();
    }
    finding.unseen.iter().map(|lost| format!("{} {}: {}", lost.context, lost.fact, lost.reason)).collect()
}

fn this_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let found = String::deserialize(deserializer)?;
    if found == SCHEMA { Ok(found) } else { Err(D::Error::custom(format!("{found:?} is not {SCHEMA}"))) }
}

fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a list of findings")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Entry>, A::Error> {
            let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
            while let Some(entry) = items.next_element::<Entry>()? {
                if !seen.insert((entry.check.clone(), entry.subject.clone())) {
                    return Err(A::Error::custom(format!("{} {:?} stands here twice", entry.check, entry.subject)));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(Entries)
}
