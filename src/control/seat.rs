//! The places at the control socket, and who gives way when all are taken.
//!
//! Invariants: a peer whose call is being worked on or that watches keeps its place; a newcomer is refused only when all
//! do. Otherwise it takes the place of another that has had it for a moment: first of whoever holds the most places, then
//! of the one that came first. Many connections of one user thus do not shut another out, and neither a peer that says
//! nothing nor one that never stops calling holds anybody up. Of those who may only read, one user's calls are worked on
//! in a quarter of the places at most, so that no user alone makes all places kept.

use super::Peer;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Whom a conversation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The daemon: a call is being worked on, or a stream waits for what happens.
    Ours,
    /// The peer: for its next call, or until it takes what is written.
    Theirs,
}

/// One conversation's place. Used on the server's thread only.
#[derive(Debug)]
pub(super) struct Seat {
    uid: u32,
    turn: Cell<Turn>,
    since: Instant,
    lost: Notify,
}

impl Seat {
    fn new(uid: u32, now: Instant) -> Seat {
        Seat { uid, turn: Cell::new(Turn::Theirs), since: now, lost: Notify::new() }
    }

    pub fn set_turn(&self, turn: Turn) {
        self.turn.set(turn);
    }

    /// Returns when a newcomer has taken the place.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}

/// How long a newcomer has its place for itself, so that its call can come: also on a busy machine, and in a crowd.
const STAY: Duration = Duration::from_millis(8);

/// All places that are taken.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: RefCell<Vec<Rc<Seat>>>,
}

impl Seats {
    /// A place for a newcomer; `None` when `places` are taken by peers that keep theirs.
    pub fn take(&self, peer: &Peer, places: usize, now: Instant) -> Option<Rc<Seat>> {
        let mut taken = self.taken.borrow_mut();
        if taken.len() >= places {
            let index = giving_way(&taken)?;
            taken.swap_remove(index).lost.notify_one();
        }
        let seat = Rc::new(Seat::new(peer.uid, now));
        taken.push(Rc::clone(&seat));
        Some(seat)
    }

    /// From when on a newcomer finds a place; `None` for at once: one is free, or all are kept and it is to be told.
    pub fn room_from(&self, places: usize) -> Option<Instant> {
        let taken = self.taken.borrow();
        if taken.len() < places {
            return None;
        }
        giving_way(&taken).map(|index| taken[index].since + STAY)
    }

    /// Whether one more call of the seat's user may be worked on, where a user has a quarter of the places for that.
    pub fn has_room(&self, seat: &Seat, places: usize) -> bool {
        let taken = self.taken.borrow();
        let busy = taken.iter().filter(|other| other.uid == seat.uid && other.turn.get() == Turn::Ours);
        busy.count() < (places / 4).max(1)
    }

    pub fn leave(&self, seat: &Rc<Seat>) {
        self.taken.borrow_mut().retain(|other| !Rc::ptr_eq(other, seat));
    }
}

fn giving_way(taken: &[Rc<Seat>]) -> Option<usize> {
    let mut places: HashMap<u32, usize> = HashMap::new();
    for seat in taken {
        *places.entry(seat.uid).or_default() += 1;
    }
    let others = taken.iter().enumerate().filter(|(_, seat)| seat.turn.get() == Turn::Theirs);
    let first = others.min_by_key(|(_, seat)| (std::cmp::Reverse(places[&seat.uid]), seat.since));
    first.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn peer(uid: u32) -> Peer {
        Peer { uid, gid: uid, pid: None }
    }

    fn is_lost(seat: &Seat) -> bool {
        seat.lost().now_or_never().is_some()
    }

    #[test]
    fn whoever_came_first_gives_way() {
        let (seats, start) = (Seats::default(), Instant::now());
        let take = |after_ms| seats.take(&peer(1_000), 3, start + Duration::from_millis(after_ms));
        let first = take(0).expect("a free place");
        let second = take(1).expect("a free place");
        let third = take(2).expect("a free place");
        first.set_turn(Turn::Ours);
        let fourth = take(3).expect("the second's place");
        assert_eq!([&first, &second, &third, &fourth].map(|seat| is_lost(seat)), [false, true, false, false]);
        third.set_turn(Turn::Ours);
        fourth.set_turn(Turn::Ours);
        assert!(take(4).is_none(), "all are being answered");
        seats.leave(&third);
        assert!(take(5).is_some(), "a place is free");
    }

    #[test]
    fn a_newcomer_has_its_place_for_a_moment() {
        let (seats, start) = (Seats::default(), Instant::now());
        let first = seats.take(&peer(1_000), 2, start).expect("a free place");
        assert_eq!(seats.room_from(2), None, "one is free");
        let second = seats.take(&peer(1_000), 2, start + STAY).expect("a free place");
        assert_eq!(seats.room_from(2), Some(start + STAY), "the first's");
        first.set_turn(Turn::Ours);
        assert_eq!(seats.room_from(2), Some(start + STAY * 2), "the second's");
        second.set_turn(Turn::Ours);
        assert_eq!(seats.room_from(2), None, "a further one is refused at once");
    }

    #[test]
    fn one_users_calls_take_a_quarter_of_the_places() {
        let (seats, now) = (Seats::default(), Instant::now());
        let hoarded: Vec<_> =
            (0..8).map(|_| seats.take(&peer(1_000), 8, now).expect("a free place")).collect();
        for seat in &hoarded[..2] {
            assert!(seats.has_room(seat, 8));
            seat.set_turn(Turn::Ours);
        }
        assert!(!seats.has_room(&hoarded[2], 8));
        let other = seats.take(&peer(1_001), 8, now).expect("the place of one that waits");
        assert!(seats.has_room(&other, 8), "each user has a quarter");
        hoarded[0].set_turn(Turn::Theirs);
        assert!(seats.has_room(&hoarded[2], 8));
    }

    #[test]
    fn the_user_with_the_most_places_gives_way_first() {
        let (seats, now) = (Seats::default(), Instant::now());
        let operator = seats.take(&peer(0), 4, now).expect("a free place");
        let hoarded: Vec<_> = (1..4)
            .map(|ms| seats.take(&peer(1_000), 4, now + Duration::from_millis(ms)).expect("a free place"))
            .collect();
        for ms in 4..100 {
            assert!(seats.take(&peer(1_000), 4, now + Duration::from_millis(ms)).is_some());
        }
        assert!(!is_lost(&operator), "one place of another user is kept through any flood");
        assert!(hoarded.iter().all(|seat| is_lost(seat)));
    }
}
