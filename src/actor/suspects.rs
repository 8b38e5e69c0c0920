//! What a child had in hand when it died, and what is therefore set aside.
//!
//! An item that was in hand when two incarnations panicked or hung is condemned: the child finds that out through its
//! lease, puts the item where it can be looked at, and goes on with the next. Errors condemn nothing: a database that is
//! away says nothing about the item.
//!
//! A child may have several items in hand at once. Their common death only casts suspicion: the second one condemns if it
//! is of a single item, so the child takes suspected items one by one ([`super::Batch::redelivery`]).
//!
//! The deaths behind a verdict are given back to the supervisor's budget (`intensity.rs`).

use super::ExitReason;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Deaths that are remembered.
const DEATHS_MAX: usize = 64;
/// Items of one child that may be condemned at once; the oldest verdict is forgotten for a newer one.
const CONDEMNED_MAX: usize = 1_024;

/// Where items are numbered. 0 is the child's own numbering, others are ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source(pub u64);

impl Source {
    pub const OWN: Source = Source(0);
}

/// Items being handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InHand {
    pub source: Source,
    pub first: u64,
    pub count: u64,
}

impl InHand {
    fn holds(&self, source: Source, number: u64) -> bool {
        self.source == source && number.checked_sub(self.first).is_some_and(|ahead| ahead < self.count)
    }
}

/// Why an item is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The item's number, in the numbering of its port or of the child.
    pub number: u64,
    /// The child it killed, and which of its incarnations.
    pub child: Arc<str>,
    pub incarnations: [u64; 2],
    /// How the second one ended.
    pub reason: ExitReason,
}

/// One child's, over all its incarnations.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    noted: Mutex<Noted>,
    /// Read for every item: no lock is taken while it is 0.
    condemned: AtomicU64,
    set_aside: AtomicU64,
}

#[derive(Debug, Default)]
struct Noted {
    deaths: VecDeque<(InHand, u64)>,
    condemned: VecDeque<(Source, Verdict)>,
}

impl Suspects {
    /// Notes that `incarnation` panicked or hung over `in_hand`; gives the verdict if that is one too many. An item is
    /// condemned once: who dies over it again did not set it aside.
    pub fn note_death(
        &self,
        child: &Arc<str>,
        incarnation: u64,
        in_hand: InHand,
        reason: &ExitReason,
    ) -> Option<Verdict> {
        let mut noted = self.noted();
        let InHand { source, first: number, count } = in_hand;
        let earlier = noted.deaths.iter().rev().find(|(held, _)| held.holds(source, number));
        let earlier = earlier.map(|(_, incarnation)| *incarnation);
        noted.deaths.push_back((in_hand, incarnation));
        if noted.deaths.len() > DEATHS_MAX {
            noted.deaths.pop_front();
        }
        let is_condemned =
            noted.condemned.iter().any(|(from, verdict)| *from == source && verdict.number == number);
        if count != 1 || is_condemned {
            return None;
        }
        let incarnations = [earlier?, incarnation];
        let verdict = Verdict { number, child: Arc::clone(child), incarnations, reason: reason.clone() };
        if noted.condemned.len() == CONDEMNED_MAX {
            noted.condemned.pop_front();
        }
        noted.condemned.push_back((source, verdict.clone()));
        self.condemned.store(noted.condemned.len() as u64, Relaxed);
        Some(verdict)
    }

    pub fn verdict(&self, source: Source, number: u64) -> Option<Verdict> {
        if self.condemned.load(Relaxed) == 0 {
            return None;
        }
        let noted = self.noted();
        let found =
            noted.condemned.iter().find(|(from, verdict)| *from == source && verdict.number == number);
        found.map(|(_, verdict)| verdict.clone())
    }

    pub fn note_set_aside(&self) {
        self.set_aside.fetch_add(1, Relaxed);
    }

    /// Items set aside since the start.
    pub fn set_aside(&self) -> u64 {
        self.set_aside.load(Relaxed)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Source = Source(7);

    fn die(suspects: &Suspects, incarnation: u64, source: Source, first: u64, count: u64) -> Option<u64> {
        let in_hand = InHand { source, first, count };
        let reason = ExitReason::Panic("it hurts".to_owned());
        let verdict = suspects.note_death(&"child".into(), incarnation, in_hand, &reason);
        verdict.map(|verdict| verdict.number)
    }

    #[test]
    fn the_same_item_twice_is_condemned_and_others_are_not() {
        let suspects = Suspects::default();
        assert_eq!(die(&suspects, 1, PORT, 5, 1), None);
        assert_eq!(die(&suspects, 2, PORT, 6, 1), None);
        assert_eq!(die(&suspects, 3, Source::OWN, 5, 1), None);
        assert_eq!(die(&suspects, 4, PORT, 5, 1), Some(5));
        let verdict = suspects.verdict(PORT, 5).expect("condemned");
        assert_eq!(verdict.incarnations, [1, 4]);
        assert_eq!(die(&suspects, 5, PORT, 5, 1), None, "it was to be set aside");
        assert_eq!(suspects.verdict(Source::OWN, 5), None);
        assert_eq!(suspects.verdict(PORT, 6), None);
    }

    #[test]
    fn items_that_died_together_are_told_apart_one_by_one() {
        let suspects = Suspects::default();
        assert_eq!(die(&suspects, 1, PORT, 10, 4), None);
        assert_eq!(die(&suspects, 2, PORT, 10, 4), None, "a crowd is never condemned");
        assert_eq!(die(&suspects, 3, PORT, 12, 1), Some(12));
        assert_eq!(die(&suspects, 4, PORT, 14, 1), None, "it was not among them");
    }
}
