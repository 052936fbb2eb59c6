//! Equality, membership and order of values of which parts may be unknown.

use super::{Compared, Order};
use crate::check::value::{Cause, Evaluated, Unknown, Value, same_text};

/// Whether two values are equal. A difference that is certain decides, whatever else is unknown.
pub fn equal(one: &Value<'_>, two: &Value<'_>, compared: &Compared) -> Result<bool, Unknown> {
    match (one, two) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Null, _) | (_, Value::Null) => Ok(false),
        (Value::Bool(one), Value::Bool(two)) => Ok(one == two),
        (Value::Int(one), Value::Int(two)) => Ok(one == two),
        (Value::Text(one), Value::Text(two)) => same_text(one, two).ok_or_else(|| weak(compared)),
        _ => match (one.elements(), two.elements()) {
            (Some(one), Some(two)) => equal_lists(one, two, compared),
            _ => Err(vec![Cause::Mistake(format!("{} can't be compared with {}", one.kind(), two.kind()))]),
        },
    }
}

fn weak(compared: &Compared) -> Unknown {
    compared.iter().map(|(of, path)| Cause::Weak(path.clone(), *of)).collect()
}

type Elements<'t> = (Vec<Evaluated<'t>>, Option<Unknown>);

fn equal_lists(one: Elements<'_>, two: Elements<'_>, compared: &Compared) -> Result<bool, Unknown> {
    let mut unknown = Unknown::new();
    if one.1.is_none() && two.1.is_none() {
        if one.0.len() != two.0.len() {
            return Ok(false);
        }
        for pair in one.0.iter().zip(&two.0) {
            match both(pair, compared) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(causes) => unknown.extend(causes),
            }
        }
    } else {
        // Where in the whole list the missing elements stand is not known, so only what can't be in the other list proves a difference.
        for (found, other) in [(&one, &two), (&two, &one)] {
            if other.1.is_none() {
                if found.0.len() > other.0.len() {
                    return Ok(false);
                }
                let lacks = |item: &Evaluated<'_>| {
                    other.0.iter().all(|candidate| matches!(both((item, candidate), compared), Ok(false)))
                };
                if found.0.iter().any(lacks) {
                    return Ok(false);
                }
            }
            unknown.extend(found.1.iter().flatten().cloned());
        }
    }
    if unknown.is_empty() { Ok(true) } else { Err(unknown) }
}

fn both((one, two): (&Evaluated<'_>, &Evaluated<'_>), compared: &Compared) -> Result<bool, Unknown> {
    match (one, two) {
        (Ok(one), Ok(two)) => equal(one, two, compared),
        (one, two) => Err(one.as_ref().err().into_iter().chain(two.as_ref().err()).flatten().cloned().collect()),
    }
}

/// Whether a list holds a value: one that was found decides, else all of it must be known.
pub fn contains(list: &Value<'_>, item: &Value<'_>, compared: &Compared) -> Result<bool, Unknown> {
    let Some((elements, more)) = list.elements() else {
        return Err(vec![Cause::Mistake(format!("`in` needs a list, and this is {}", list.kind()))]);
    };
    let mut unknown = more.unwrap_or_default();
    for element in elements {
        match element.and_then(|element| equal(&element, item, compared)) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(causes) => unknown.extend(causes),
        }
    }
    if unknown.is_empty() { Ok(false) } else { Err(unknown) }
}

/// Whether an order holds; only numbers, and texts, have one.
pub fn ordered(order: Order, one: &Value<'_>, two: &Value<'_>) -> Result<bool, Unknown> {
    let comparison = match (one, two) {
        (Value::Int(one), Value::Int(two)) => one.cmp(two),
        (Value::Text(one), Value::Text(two)) => one.cmp(two),
        _ => {
            let words = format!("{} has no order with {}", one.kind(), two.kind());
            return Err(vec![Cause::Mistake(words)]);
        }
    };
    Ok(match order {
        Order::Less => comparison.is_lt(),
        Order::LessOrEqual => comparison.is_le(),
        Order::Greater => comparison.is_gt(),
        Order::GreaterOrEqual => comparison.is_ge(),
    })
}
