//! The relation `agree`: rows with an equal link are a group, and their values must be equal, distinct, or overlap.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Key, Row, Rows, bind, canonical};
use super::secrets::Secrets;
use super::words::{self, Draft};
use super::world::World;
use super::{judged, unknown_contexts};
use crate::check::definition::{AbsentValue, Expect};
use crate::check::expression::{Frame, KEY, equal};
use crate::check::program::{Check, Side};
use crate::check::value::{Cause, Evaluated, Unknown, Value};

/// A row of a group with its value.
struct Member<'r, 't> {
    row: &'r Row<'t>,
    frame: Frame<'t>,
    value: Evaluated<'t>,
}

pub fn agree<'a>(check: &'a Check, world: &World) -> Vec<Draft<'a>> {
    let Some(side) = check.program.sides.first() else { return Vec::new() };
    let mut gathered = Rows::gather(world, side);
    let mut groups: BTreeMap<&Key, Vec<&Row<'_>>> = BTreeMap::new();
    for row in &gathered.rows {
        row.keys.iter().for_each(|key| groups.entry(key).or_default().push(row));
    }
    weak_links(check, &groups, &mut gathered.unknown);
    let mut drafts = unknown_contexts(check, world, &gathered.unknown);
    for (key, rows) in groups {
        drafts.extend(group(check, world, side, key, &rows));
    }
    drafts
}

/// A row alone in its group may belong to another one, where their identities are such that a difference proves nothing.
fn weak_links(check: &Check, groups: &BTreeMap<&Key, Vec<&Row<'_>>>, unknown: &mut BTreeMap<usize, Unknown>) {
    for (key, rows) in groups {
        if rows.iter().map(|row| row.members.len()).sum::<usize>() == 1
            && groups.keys().any(|other| key.might_be(other))
        {
            let causes = weak_causes(check);
            rows.iter().flat_map(|row| &row.members).for_each(|context| {
                unknown.entry(*context).or_default().extend(causes.iter().cloned());
            });
        }
    }
}

/// The reasons of a link between identities of which the difference proves nothing.
pub fn weak_causes(check: &Check) -> Vec<Cause> {
    let links = check.program.sides.first().and_then(|side| side.link.as_ref());
    links.iter().flat_map(|link| &link.reads).map(|read| Cause::Weak(read.path.clone(), read.of)).collect()
}

fn group<'a>(check: &'a Check, world: &World, side: &Side, key: &Key, rows: &[&Row<'_>]) -> Option<Draft<'a>> {
    let absent = check.definition.absent.as_ref().map(|absent| *absent.get_ref()).unwrap_or_default();
    let expect = check.definition.expect.as_ref().map(|expect| *expect.get_ref()).unwrap_or_default();
    let mut members: Vec<Member<'_, '_>> = rows
        .iter()
        .map(|row| {
            let mut frame = bind(world, side, row.context, row.element.as_ref(), Frame::new()).bind(KEY, key.value());
            let value = frame.evaluate(&check.program.test);
            Member { row, frame, value }
        })
        .filter(|member| absent == AbsentValue::Value || !matches!(member.value, Ok(Value::Null)))
        .collect();
    let count: u64 = members.iter().map(|member| member.row.count).sum();
    // One participant alone agrees with itself only where several contexts are behind it; it can't be distinct from itself.
    if count < 2 || (members.len() < 2 && expect == Expect::Distinct) {
        return None;
    }
    let held = match expect {
        Expect::Equal => compare(check, &members, false),
        Expect::Distinct => compare(check, &members, true),
        Expect::Overlap => overlap(&members),
    };
    // Each reason is one of one member: the contexts are those behind it.
    let mut unseen = Vec::new();
    for member in &members {
        let own = [member.row.members.as_slice(); 2];
        if let (Err(causes), Err(_)) = (&member.value, &held) {
            unseen.extend(words::unseen(world, own, causes));
        }
    }
    let participants: Vec<_> = members.iter().map(|member| words::participant(world, side, member.row)).collect();
    // The caller is shown the subject as it sees it itself.
    let own = members.iter().position(|member| world.is_own(member.row.context)).unwrap_or_default();
    let subject = members.get_mut(own).map(|member| words::subject(world, check, &mut member.frame, &participants))?;
    let mut secrets = Secrets::default();
    members.iter().for_each(|member| secrets.add(world, side, member.row));
    let everyone: Vec<usize> = members.iter().flat_map(|member| member.row.members.iter().copied()).collect();
    let mut frames: Vec<_> = members.iter().map(|member| member.frame.clone()).collect();
    let mut draft = judged(check, world, [&everyone, &everyone], held, subject, participants, count - 1, &mut frames);
    if !unseen.is_empty() {
        unseen.sort();
        unseen.dedup();
        draft.message = words::unknown_message(&unseen);
        draft.unseen = unseen;
    }
    draft.secrets = secrets;
    Some(draft)
}

/// Whether all values are equal, or all distinct. Values that are the same to the letter are compared once, so that a group that agrees costs
/// one step per row.
fn compare(check: &Check, members: &[Member<'_, '_>], distinct: bool) -> Result<bool, Unknown> {
    let mut unknown = Unknown::new();
    let mut values: BTreeMap<String, &Value<'_>> = BTreeMap::new();
    for member in members {
        match &member.value {
            Err(causes) => unknown.extend(causes.iter().cloned()),
            Ok(value) => {
                if values.insert(canonical(value), value).is_some() && distinct {
                    return Ok(false);
                }
            }
        }
    }
    let compared: Box<[(usize, String)]> =
        check.program.test.reads.iter().map(|read| (read.of, read.path.clone())).collect();
    let values: Vec<&Value<'_>> = values.into_values().collect();
    for (at, one) in values.iter().enumerate() {
        for two in values.iter().skip(at + 1) {
            match equal(one, two, &compared) {
                Ok(equal) if equal == distinct => return Ok(false),
                Ok(_) => {}
                Err(causes) => unknown.extend(causes),
            }
        }
        // A list of which only a part was seen is not known to equal even itself.
        if !distinct && let (1, Err(causes)) = (values.len(), equal(one, one, &compared)) {
            unknown.extend(causes);
        }
    }
    unknown.sort();
    unknown.dedup();
    if unknown.is_empty() { Ok(true) } else { Err(unknown) }
}

/// Whether the lists have an element in common. Lists that were seen whole decide against it; all must have it to decide for it.
fn overlap(members: &[Member<'_, '_>]) -> Result<bool, Unknown> {
    let mut unknown = Unknown::new();
    let (mut whole, mut found): (Option<BTreeSet<String>>, Option<BTreeSet<String>>) = (None, None);
    for member in members {
        let lists = member.value.as_ref().map(|value| value.elements().unwrap_or_default());
        let (items, more) = match lists {
            Ok(lists) => lists,
            Err(causes) => {
                unknown.extend(causes.iter().cloned());
                continue;
            }
        };
        let set: BTreeSet<String> = items.iter().filter_map(|item| item.as_ref().ok()).map(canonical).collect();
        let causes: Unknown =
            items.into_iter().filter_map(Result::err).flatten().chain(more.into_iter().flatten()).collect();
        if causes.is_empty() {
            whole = Some(whole.map_or_else(|| set.clone(), |known| known.intersection(&set).cloned().collect()));
        }
        unknown.extend(causes);
        found = Some(found.map_or_else(|| set.clone(), |known| known.intersection(&set).cloned().collect()));
    }
    if whole.is_some_and(|whole| whole.is_empty()) {
        return Ok(false);
    }
    let some_unseen = members.iter().any(|member| member.value.is_err());
    let common = found.is_some_and(|found| !found.is_empty());
    if (common && !some_unseen) || unknown.is_empty() { Ok(common) } else { Err(unknown) }
}
