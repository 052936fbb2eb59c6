//! The open connections: how many there are, what they hold, and which one must go when there is no room for another.
//!
//! Whoever has sent a whole request keeps his place until the answer is made; how many those are is bounded by the turns. All others can be
//! dropped for a newcomer: first within his own class, then in the class that has most, the longest-waiting first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::class::Class;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its request is not complete.
    Asking,
    /// The caller takes in the answer.
    Reading,
    /// The answer is being made, or waited for.
    Answering,
}

/// All open connections.
pub(super) struct Connections {
    open: Mutex<Open>,
    all: usize,
    per_class: usize,
    bytes: usize,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// By number, so by age.
    places: BTreeMap<u64, Held>,
}

struct Held {
    class: Class,
    stage: Stage,
    bytes: usize,
    /// Dropped with the place; the connection ends then.
    _dropped: oneshot::Sender<()>,
}

/// One connection's place. Given back when this is dropped.
pub(super) struct Place {
    number: u64,
    of: Arc<Connections>,
    /// By when the present stage must be over.
    until: watch::Sender<Instant>,
}

impl Connections {
    /// At most so many in all and of one class, which hold so many bytes together.
    pub(super) fn new(all: usize, per_class: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), all: all.max(1), per_class: per_class.max(1), bytes })
    }

    /// A place for a newcomer, who has until then to ask, and what tells when the place is taken away. `None` where nobody can go.
    pub(super) fn enter(
        self: &Arc<Self>,
        class: Class,
        until: Instant,
    ) -> Option<(Place, watch::Receiver<Instant>, oneshot::Receiver<()>)> {
        let mut open = self.locked();
        if open.of_class(&class) >= self.per_class {
            open.drop_longest(Some(&class))?;
        }
        if open.places.len() >= self.all {
            let fullest = open.fullest(|_| 1);
            open.drop_longest(fullest.as_ref()).or_else(|| open.drop_longest(None))?;
        }
        let (dropped, gone) = oneshot::channel();
        let number = open.next;
        open.next += 1;
        open.places.insert(number, Held { class, stage: Stage::Asking, bytes: 0, _dropped: dropped });
        drop(open);
        let (until, moved) = watch::channel(until);
        Some((Place { number, of: Arc::clone(self), until }, moved, gone))
    }

    /// Makes room where the system itself has none.
    pub(super) fn drop_one(&self) {
        let mut open = self.locked();
        let fullest = open.fullest(|_| 1);
        let _ = open.drop_longest(fullest.as_ref()).or_else(|| open.drop_longest(None));
    }

    /// Ends every connection whose request is not complete.
    pub(super) fn drop_asking(&self) {
        self.locked().places.retain(|_, held| held.stage != Stage::Asking);
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn of_class(&self, class: &Class) -> usize {
        self.places.values().filter(|held| held.class == *class).count()
    }

    /// The class whose connections weigh most.
    fn fullest(&self, weight: impl Fn(&Held) -> usize) -> Option<Class> {
        let mut classes: BTreeMap<&Class, usize> = BTreeMap::new();
        for held in self.places.values() {
            *classes.entry(&held.class).or_default() += weight(held);
        }
        classes.into_iter().max_by_key(|(_, weight)| *weight).map(|(class, _)| class.clone())
    }

    /// Ends the connection of a class, or of any, that has waited longest: for a request first, for a reader then.
    fn drop_longest(&mut self, class: Option<&Class>) -> Option<()> {
        let droppable = |held: &Held| held.stage != Stage::Answering && class.is_none_or(|class| held.class == *class);
        let longest = self.places.iter().filter(|(_, held)| droppable(held));
        let (number, _) = longest.min_by_key(|(number, held)| (held.stage, **number))?;
        let number = *number;
        self.places.remove(&number).map(drop)
    }
}

impl Place {
    /// The connection waits for something else now, until then at the longest.
    pub(super) fn moves_to(&self, stage: Stage, until: Instant) {
        if let Some(held) = self.of.locked().places.get_mut(&self.number) {
            held.stage = stage;
        }
        self.until.send_replace(until);
    }

    /// Takes `more` bytes of memory. Where that is more than there is, or than a quarter of it for one class, the heaviest connection of the
    /// heaviest class goes. `false` where that is this one.
    pub(super) fn takes(&self, more: usize) -> bool {
        let mut open = self.of.locked();
        let Some(held) = open.places.get_mut(&self.number) else { return false };
        held.bytes += more;
        let own = held.class.clone();
        loop {
            let held_by = |class: Option<&Class>| -> usize {
                let of = open.places.values().filter(|held| class.is_none_or(|class| held.class == *class));
                of.map(|held| held.bytes).sum()
            };
            let heaviest = if held_by(Some(&own)) > self.of.bytes / 4 {
                Some(own.clone())
            } else if held_by(None) > self.of.bytes {
                open.fullest(|held| held.bytes)
            } else {
                return true;
            };
            let droppable =
                open.places.iter().filter(|(number, held)| held.stage != Stage::Answering || **number == self.number);
            let within = droppable.filter(|(_, held)| heaviest.as_ref() == Some(&held.class));
            let heaviest = within.max_by_key(|(_, held)| held.bytes).map(|(number, _)| *number);
            match heaviest {
                Some(number) if number != self.number => open.places.remove(&number),
                _ => return false,
            };
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.locked().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Connections, Stage};
    use tokio::time::Instant;

    fn class(name: &str) -> Class {
        Class::Group(name.to_owned())
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_longest_silent_of_his_own_class() {
        let connections = Connections::new(10, 2, 100);
        let enter = |name| connections.enter(class(name), Instant::now()).expect("a place");
        let (_other, _, mut other) = enter("other");
        let (asked, _, mut first) = enter("mine");
        asked.moves_to(Stage::Answering, Instant::now());
        let (_second, _, mut second) = enter("mine");
        let (_third, _, mut third) = enter("mine");
        assert!(other.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
        assert!(first.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
        assert!(second.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed));
        assert!(third.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn when_all_is_full_the_class_that_has_most_makes_room() {
        let connections = Connections::new(3, 3, 100);
        let enter = |name| connections.enter(class(name), Instant::now()).expect("a place");
        let (_alone, _, mut alone) = enter("alone");
        let (_one, _, mut one) = enter("many");
        let (_two, _, _gone) = enter("many");
        let (_new, _, _new_gone) = enter("new");
        assert!(alone.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
        assert!(one.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn nobody_who_waits_for_his_answer_is_dropped_for_a_newcomer() {
        let connections = Connections::new(1, 1, 100);
        let (asked, _, _gone) = connections.enter(class("a"), Instant::now()).expect("a place");
        asked.moves_to(Stage::Answering, Instant::now());
        assert!(connections.enter(class("a"), Instant::now()).is_none());
        drop(asked);
        assert!(connections.enter(class("a"), Instant::now()).is_some());
    }

    #[test]
    fn who_holds_most_memory_goes_first_and_gets_no_more() {
        let connections = Connections::new(10, 10, 400);
        let enter = |name| connections.enter(class(name), Instant::now()).expect("a place");
        let (greedy, _, mut greedy_gone) = enter("mine");
        assert!(greedy.takes(90));
        assert!(!greedy.takes(20), "a class has no more than a quarter");
        let (modest, _, mut modest_gone) = enter("mine");
        assert!(modest.takes(15));
        assert!(greedy_gone.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed));
        assert!(modest_gone.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
    }
}
