//! Whose turn it is: how often a class of callers may ask, how many wait, and how many answers are made at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::class::Class;
use super::limits::Limits;

/// The most classes that are remembered; a class that has not asked for a minute can be forgotten without loss.
const REMEMBERED: usize = 4096;

/// Why it is not a caller's turn, and when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    /// It has asked too often.
    TooOften(Duration),
    /// Too many wait.
    TooMany(Duration),
}

/// The turns of all callers.
pub(super) struct Turns {
    answers: Arc<Semaphore>,
    answers_per_class: usize,
    used: Mutex<Used>,
    under_way: usize,
    under_way_per_class: usize,
    per_minute: f64,
}

#[derive(Default)]
struct Used {
    under_way: usize,
    classes: BTreeMap<Class, OfClass>,
}

struct OfClass {
    under_way: usize,
    /// How many requests are left, as of `at`; refilled evenly.
    left: f64,
    at: Instant,
    /// The places of this class among the answers that are made at once.
    answers: Arc<Semaphore>,
}

/// A request that is waited for or answered. Given back when this is dropped.
pub(super) struct Turn {
    of: Arc<Turns>,
    class: Class,
    own: Arc<Semaphore>,
}

impl Turns {
    /// As the limits say. One class has at most a quarter of the queue, and of the answers that are made at once.
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let under_way = (limits.answers + limits.waiting).max(1);
        Arc::new(Self {
            answers: Arc::new(Semaphore::new(limits.answers.max(1))),
            answers_per_class: (limits.answers / 4).max(1),
            used: Mutex::default(),
            under_way,
            under_way_per_class: (under_way / 4).max(1),
            per_minute: f64::from(limits.requests_per_minute.max(1)),
        })
    }

    /// Takes in a request, if it may come now.
    pub(super) fn enter(self: &Arc<Self>, class: &Class, now: Instant) -> Result<Turn, NotNow> {
        let mut used = self.locked();
        let all = used.under_way;
        if used.classes.len() >= REMEMBERED && !used.classes.contains_key(class) {
            used.classes.retain(|_, one| one.under_way > 0 || now.duration_since(one.at) < Duration::from_secs(60));
            // Whoever makes classes by the thousand must not keep out the next honest one: the one that has been idle longest goes.
            let idle = used.classes.iter().filter(|(_, one)| one.under_way == 0).min_by_key(|(_, one)| one.at);
            match (used.classes.len() >= REMEMBERED, idle.map(|(class, _)| class.clone())) {
                (false, _) => {}
                (true, Some(longest)) => drop(used.classes.remove(&longest)),
                (true, None) => return Err(NotNow::TooMany(Duration::from_secs(60))),
            }
        }
        let one = used.classes.entry(class.clone()).or_insert_with(|| OfClass {
            under_way: 0,
            left: self.per_minute,
            at: now,
            answers: Arc::new(Semaphore::new(self.answers_per_class)),
        });
        let refilled = now.duration_since(one.at).as_secs_f64() * self.per_minute / 60.0;
        one.left = (one.left + refilled).min(self.per_minute);
        one.at = now;
        if one.left < 1.0 {
            return Err(NotNow::TooOften(Duration::from_secs_f64((1.0 - one.left) * 60.0 / self.per_minute)));
        }
        if all >= self.under_way || one.under_way >= self.under_way_per_class {
            return Err(NotNow::TooMany(Duration::from_secs(5)));
        }
        one.left -= 1.0;
        one.under_way += 1;
        let own = Arc::clone(&one.answers);
        used.under_way += 1;
        drop(used);
        Ok(Turn { of: Arc::clone(self), class: class.clone(), own })
    }

    fn locked(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until an answer may be made; `None` where that is not before the deadline.
    ///
    /// First its class' own place, then one of all: so that of each class one request at most stands in the queue of all.
    pub(super) async fn comes(&self, deadline: Instant) -> Option<[OwnedSemaphorePermit; 2]> {
        let places = async {
            let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
            Some([own, Arc::clone(&self.of.answers).acquire_owned().await.ok()?])
        };
        tokio::time::timeout_at(deadline, places).await.ok()?
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut used = self.of.locked();
        used.under_way = used.under_way.saturating_sub(1);
        if let Some(one) = used.classes.get_mut(&self.class) {
            one.under_way = one.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::limits::Limits;
    use super::{Class, NotNow, Turns};

    #[test]
    fn a_class_that_asks_too_often_is_told_when_to_come_again_and_may_then() {
        let turns = Turns::new(&Limits { requests_per_minute: 2, ..Limits::default() });
        let (mine, now) = (Class::Group("mine".into()), Instant::now());
        for _ in 0..2 {
            assert!(turns.enter(&mine, now).is_ok());
        }
        let Err(NotNow::TooOften(after)) = turns.enter(&mine, now) else { panic!("a third one was let in") };
        assert_eq!(after, Duration::from_secs(30));
        assert!(turns.enter(&Class::Group("other".into()), now).is_ok());
        assert!(turns.enter(&mine, now + after).is_ok());
    }

    #[test]
    fn one_class_can_not_fill_the_queue() {
        let limits = Limits { answers: 1, waiting: 7, requests_per_minute: 100, ..Limits::default() };
        let (turns, now) = (Turns::new(&limits), Instant::now());
        let mine = Class::Group("mine".into());
        let held: Vec<_> =
            (0..2).map(|_| turns.enter(&mine, now).unwrap_or_else(|reason| panic!("{reason:?}"))).collect();
        assert!(matches!(turns.enter(&mine, now), Err(NotNow::TooMany(_))));
        let other = turns.enter(&Class::Group("other".into()), now);
        assert!(other.is_ok());
        drop(held);
        assert!(turns.enter(&mine, now).is_ok());
    }
}
