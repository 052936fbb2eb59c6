//! The relation `between`: pairs of rows with an equal link, found by hashing it.

use std::collections::HashMap;

use super::agree::weak_causes;
use super::rows::{Key, Row, Rows, bind};
use super::secrets::Secrets;
use super::words::{self, Draft};
use super::world::World;
use super::{judged, unknown_contexts};
use crate::check::definition::{Partners, Unmatched};
use crate::check::expression::{Frame, KEY, condition};
use crate::check::finding::Outcome;
use crate::check::program::{Check, Side};
use crate::check::value::Unknown;

/// One check at work.
struct Between<'a, 't> {
    check: &'a Check,
    world: &'t World<'t>,
    sides: [&'a Side; 2],
}

/// A partner of an a-row: the link that they share, and how many pairs of contexts that is.
struct Partner<'r, 't> {
    row: &'r Row<'t>,
    key: &'r Key,
    pairs: u64,
}

pub fn between<'a>(check: &'a Check, world: &World<'_>) -> Vec<Draft<'a>> {
    let [first, second] = check.program.sides.as_slice() else { return Vec::new() };
    let at = Between { check, world, sides: [first, second] };
    let (mut a, b) = (Rows::gather(world, first), Rows::gather(world, second));
    let mut index: HashMap<&Key, Vec<&Row<'_>>> = HashMap::new();
    for row in &b.rows {
        row.keys.iter().for_each(|key| index.entry(key).or_default().push(row));
    }
    let partners = check.definition.partners.as_ref().map(|partners| *partners.get_ref()).unwrap_or_default();
    let mut drafts = Vec::new();
    for row in &a.rows {
        let found = partners_of(row, &index);
        if found.is_empty() {
            let weak = row.keys.iter().any(|key| {
                index.iter().any(|(other, rows)| key.might_be(other) && rows.iter().any(|other| pairs(row, other) > 0))
            });
            if weak {
                let causes = weak_causes(check);
                row.members.iter().for_each(|context| a.unknown.entry(*context).or_default().extend(causes.clone()));
            } else {
                drafts.extend(at.unmatched(row, &b));
            }
        } else if partners == Partners::All {
            drafts.extend(found.iter().map(|partner| at.pair(row, partner)));
        } else {
            drafts.push(at.some(row, &found, &b));
        }
    }
    // Where nobody asks, it does not matter who might have answered.
    let is_asked = !a.rows.is_empty() || !a.unknown.is_empty();
    for unknown in [Some(&a.unknown), is_asked.then_some(&b.unknown)].into_iter().flatten() {
        drafts.extend(unknown_contexts(check, world, unknown));
    }
    drafts
}

/// How many pairs of two contexts the rows stand for; a context, and contexts that are one participant, have no claim on themselves.
fn pairs(one: &Row<'_>, two: &Row<'_>) -> u64 {
    if one.members == two.members {
        return 0;
    }
    let shared = one.members.iter().filter(|context| two.members.contains(context)).count();
    (one.members.len() * two.members.len() - shared) as u64
}

fn partners_of<'r, 't>(row: &'r Row<'t>, index: &HashMap<&'r Key, Vec<&'r Row<'t>>>) -> Vec<Partner<'r, 't>> {
    let mut partners = Vec::new();
    for key in &row.keys {
        for other in index.get(key).into_iter().flatten() {
            let pairs = pairs(row, other);
            if pairs > 0 {
                partners.push(Partner { row: other, key, pairs });
            }
        }
    }
    partners
}

impl<'a, 't> Between<'a, 't> {
    fn frame(&self, row: &Row<'t>, partner: Option<&Partner<'_, 't>>) -> Frame<'t> {
        let frame = bind(self.world, self.sides[0], row.context, row.element.as_ref(), Frame::new());
        match partner {
            None => frame,
            Some(partner) => {
                let other = partner.row;
                bind(self.world, self.sides[1], other.context, other.element.as_ref(), frame)
                    .bind(KEY, partner.key.value())
            }
        }
    }

    fn secrets(&self, row: &Row<'t>, partners: &[Partner<'_, 't>]) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(self.world, self.sides[0], row);
        partners.iter().for_each(|partner| secrets.add(self.world, self.sides[1], partner.row));
        secrets
    }

    fn pair(&self, row: &Row<'t>, partner: &Partner<'_, 't>) -> Draft<'a> {
        let mut frame = self.frame(row, Some(partner));
        let held = condition(frame.evaluate(&self.check.program.test));
        let participants = vec![
            words::participant(self.world, self.sides[0], row),
            words::participant(self.world, self.sides[1], partner.row),
        ];
        let subject = words::subject(self.world, self.check, &mut frame, &participants);
        let members = [row.members.as_slice(), &partner.row.members];
        let secrets = self.secrets(row, std::slice::from_ref(partner));
        let draft = judged(self.check, self.world, members, held, subject, participants, partner.pairs, &mut [frame]);
        Draft { secrets, ..draft }
    }

    /// One partner for which the claim holds is enough.
    fn some(&self, row: &Row<'t>, partners: &[Partner<'_, 't>], b: &Rows<'t>) -> Draft<'a> {
        let mut unseen = Vec::new();
        let mut frames = Vec::new();
        let (mut count, mut unknown, mut holds) = (0, false, None);
        for partner in partners {
            let mut frame = self.frame(row, Some(partner));
            match condition(frame.evaluate(&self.check.program.test)) {
                Ok(held) => {
                    count += partner.pairs;
                    if held {
                        holds = Some(partner);
                    }
                }
                Err(causes) => {
                    unknown = true;
                    unseen.extend(words::unseen(self.world, [&row.members, &partner.row.members], &causes));
                }
            }
            frames.push(frame);
            if holds.is_some() {
                break;
            }
        }
        let candidates = if holds.is_some() { Vec::new() } else { self.candidates(row, b) };
        unknown |= !candidates.is_empty();
        unseen.extend(candidates);
        let held = match (holds, unknown) {
            (Some(_), _) => Ok(true),
            (None, true) => Err(Unknown::new()),
            (None, false) => Ok(false),
        };
        let shown: Vec<&Partner<'_, 't>> = holds.map_or_else(|| partners.iter().collect(), |partner| vec![partner]);
        let mut participants = vec![words::participant(self.world, self.sides[0], row)];
        participants.extend(shown.iter().map(|partner| words::participant(self.world, self.sides[1], partner.row)));
        participants.dedup();
        // The partners change without the row being another one: the subject names only whom it is about.
        let subject =
            words::subject(self.world, self.check, &mut self.frame(row, partners.first()), &participants[..1]);
        let mut draft =
            judged(self.check, self.world, [&row.members, &[]], held, subject, participants, count, &mut frames);
        if draft.outcome == Outcome::Unknown {
            unseen.sort();
            unseen.dedup();
            draft.message = words::unknown_message(&unseen);
            draft.unseen = unseen;
        }
        draft.secrets = self.secrets(row, partners);
        draft
    }

    /// Why there may be further partners.
    fn candidates(&self, row: &Row<'t>, b: &Rows<'t>) -> Vec<crate::check::Unseen> {
        let others = b.unknown.iter().filter(|(context, _)| row.members != [**context]);
        others.flat_map(|(context, causes)| words::unseen(self.world, [&[*context], &[*context]], causes)).collect()
    }

    fn unmatched(&self, row: &Row<'t>, b: &Rows<'t>) -> Option<Draft<'a>> {
        let unmatched =
            self.check.definition.unmatched.as_ref().map(|unmatched| *unmatched.get_ref()).unwrap_or_default();
        let unseen = self.candidates(row, b);
        let held = match unmatched {
            Unmatched::NotApplicable => return None,
            _ if !unseen.is_empty() => Err(Unknown::new()),
            Unmatched::Coherent => Ok(true),
            Unmatched::Incoherent => Ok(false),
            Unmatched::Unknown => Err(Unknown::new()),
        };
        let mut frame = self.frame(row, None);
        let participants = vec![words::participant(self.world, self.sides[0], row)];
        let subject = words::subject(self.world, self.check, &mut frame, &participants);
        let members = [row.members.as_slice(), &[]];
        let mut draft = judged(self.check, self.world, members, held, subject, participants, row.count, &mut [frame]);
        if draft.outcome == Outcome::Unknown {
            draft.message = match unseen.as_slice() {
                [] => "could not be compared: nothing it could be compared with was seen".to_owned(),
                unseen => words::unknown_message(unseen),
            };
            draft.unseen = unseen;
        }
        Some(draft)
    }
}
