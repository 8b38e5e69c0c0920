//! What a port holds, as a plain state machine under its lock.

use super::{
    Policy,
    bounds::Bounds,
    gauge::{Counters, add},
};
use crate::actor::Lease;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// A time stamp is taken for the first item of an empty queue and for every item with this distance from the last.
const MARK_DISTANCE: u64 = 64;

/// Items taken out together.
pub(super) struct Hand<T> {
    /// In one piece: the first of its slices has all.
    pub items: VecDeque<T>,
    /// How many of them the consumer has handled.
    pub handled: AtomicUsize,
    /// Number of the first item.
    pub first: u64,
}

impl<T> Default for Hand<T> {
    fn default() -> Self {
        Hand { items: VecDeque::new(), handled: AtomicUsize::new(0), first: 0 }
    }
}

/// What became of an offered item.
pub(super) enum Offer<T> {
    Accepted,
    Full(T),
    Closed(T),
}

pub(super) struct Queue<T> {
    bounds: Bounds<T>,
    items: VecDeque<T>,
    /// Of the items waiting, and of those in hand.
    weight: usize,
    hand_weight: usize,
    /// Filled to four fifths and not yet emptied to half: who may wait, waits.
    paused: bool,
    /// How often that began.
    pauses: u64,
    /// Number of the item at the front; items are numbered in order of acceptance.
    front: u64,
    /// (item number, when), ascending.
    marks: VecDeque<(u64, u64)>,
    /// Where the waiting item of a key is, for `Conflate`. Numbers before `front` are gone.
    keys: FxHashMap<u64, u64>,
    in_hand: Option<Arc<Hand<T>>>,
    redelivery: u32,
    /// A finished hand, kept for its allocation.
    spare: Option<Arc<Hand<T>>>,
    /// Places kept by permits, with whose they are. Those of a fenced lease are void.
    reserved: Vec<(u64, Lease)>,
    next_permit: u64,
    /// Places whose permit is about to be used; they outlast a fence.
    claimed: usize,
    closed: bool,
    pub consumer_waits: bool,
    pub producers_wait: bool,
}

impl<T> Queue<T> {
    pub fn new(bounds: Bounds<T>) -> Queue<T> {
        Queue {
            bounds,
            items: VecDeque::new(),
            weight: 0,
            hand_weight: 0,
            paused: false,
            pauses: 0,
            front: 0,
            marks: VecDeque::new(),
            keys: FxHashMap::default(),
            in_hand: None,
            redelivery: 0,
            spare: None,
            reserved: Vec::new(),
            next_permit: 0,
            claimed: 0,
            closed: false,
            consumer_waits: false,
            producers_wait: false,
        }
    }

    pub fn close(&mut self) {
        self.closed = true;
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn taken(&self) -> usize {
        self.items.len() + self.reserved.len() + self.claimed
    }

    fn is_full(&self) -> bool {
        self.taken() >= self.bounds.items || self.weight + self.hand_weight >= self.bounds.weight
    }

    /// Whether somebody who can wait may put something in.
    pub fn has_room(&mut self) -> bool {
        if self.is_full() || self.paused {
            self.forget_fenced();
            self.note_level();
        }
        !self.is_full() && !self.paused
    }

    /// Whether nothing waits and no permit can still bring something. A drain looks at what is in hand first.
    pub fn is_idle(&mut self) -> bool {
        if !self.reserved.is_empty() {
            self.forget_fenced();
        }
        self.items.is_empty() && self.reserved.is_empty() && self.claimed == 0
    }

    /// The permits of leases that were given up bring nothing any more.
    fn forget_fenced(&mut self) {
        self.reserved.retain(|(_, lease)| lease.is_current());
    }

    /// Keeps a place; the answer is its permit's number.
    pub fn reserve(&mut self, lease: &Lease) -> u64 {
        self.next_permit += 1;
        self.reserved.push((self.next_permit, lease.clone()));
        self.note_level();
        self.next_permit
    }

    /// Gives a reserved place back.
    pub fn release(&mut self, permit: u64) {
        self.reserved.retain(|(number, _)| *number != permit);
        self.note_level();
    }

    /// Makes a reserved place sure, even when its holder is fenced from now on. False if that has happened already.
    pub fn claim(&mut self, permit: u64) -> bool {
        self.forget_fenced();
        let place = self.reserved.iter().position(|(number, _)| *number == permit);
        if let Some(place) = place {
            self.reserved.swap_remove(place);
            self.claimed += 1;
        }
        place.is_some()
    }

    /// Gives a claimed place back.
    pub fn disclaim(&mut self) {
        self.claimed -= 1;
        self.note_level();
    }

    /// Puts an item into a claimed place, even when closed since.
    pub fn redeem(&mut self, item: T, counters: &Counters) {
        self.claimed -= 1;
        self.append(item, counters);
    }

    /// Pauses above four fifths, goes on from half down. True if producers that wait may go on.
    fn note_level(&mut self) -> bool {
        let (items, weight) = (self.taken(), self.weight + self.hand_weight);
        if self.paused {
            self.paused = !(self.bounds.is_low(items, weight));
        } else {
            self.paused = self.bounds.is_high(items, weight);
            self.pauses += u64::from(self.paused);
        }
        !self.paused
    }

    /// Whether waiting producers are to be woken; they are told once.
    pub fn wake_producers(&mut self) -> bool {
        self.producers_wait && self.has_room() && std::mem::take(&mut self.producers_wait)
    }

    pub fn offer(&mut self, item: T, policy: Policy<T>, counters: &Counters) -> Offer<T> {
        if self.closed {
            return Offer::Closed(item);
        }
        if let Policy::Conflate(key_of) = policy {
            return self.conflate(key_of(&item), item, counters);
        }
        while self.is_full() {
            match policy {
                Policy::Wait => return Offer::Full(item),
                Policy::Reject | Policy::Conflate(_) => {
                    add(&counters.rejected, 1);
                    return Offer::Full(item);
                }
                Policy::DropOldest => {
                    if !self.drop_oldest(counters) {
                        add(&counters.rejected, 1);
                        return Offer::Full(item);
                    }
                }
            }
        }
        self.append(item, counters);
        Offer::Accepted
    }

    /// Appends from the front of `items` as many as there is room for, with one stamp for all.
    pub fn append_some(&mut self, items: &mut Vec<T>, counters: &Counters) {
        if self.bounds.weigh.is_some() {
            // Weighed one by one, by the caller.
            return;
        }
        let room = self.bounds.items.saturating_sub(self.taken());
        let mut some = items.drain(..items.len().min(room));
        let Some(first) = some.next() else { return };
        self.append(first, counters);
        let rest = some.len() as u64;
        self.items.extend(some);
        add(&counters.accepted, rest);
        self.note_depth(counters);
    }

    fn conflate(&mut self, key: u64, item: T, counters: &Counters) -> Offer<T> {
        if let Some(&number) = self.keys.get(&key)
            && let Some(place) = number.checked_sub(self.front)
        {
            let place = &mut self.items[place as usize];
            self.weight = self.weight - self.bounds.weight_of(place) + self.bounds.weight_of(&item);
            *place = item;
            add(&counters.accepted, 1);
            add(&counters.conflated, 1);
            return Offer::Accepted;
        }
        while self.is_full() {
            if !self.drop_oldest(counters) {
                add(&counters.rejected, 1);
                return Offer::Full(item);
            }
        }
        self.keys.insert(key, self.front + self.items.len() as u64);
        self.append(item, counters);
        Offer::Accepted
    }

    fn append(&mut self, item: T, counters: &Counters) {
        let number = self.front + self.items.len() as u64;
        let is_marked = !self.items.is_empty()
            && self.marks.back().is_some_and(|(marked, _)| number - marked < MARK_DISTANCE);
        if !is_marked {
            let now_us = counters.now_us();
            self.marks.push_back((number, now_us));
            if self.marks.len() == 1 {
                counters.oldest_us.store(now_us + 1, Relaxed);
            }
        }
        self.weight += self.bounds.weight_of(&item);
        self.items.push_back(item);
        add(&counters.accepted, 1);
        self.note_depth(counters);
    }

    fn note_depth(&mut self, counters: &Counters) {
        self.note_level();
        // A place that is kept may have begun one already.
        counters.pauses.store(self.pauses, Relaxed);
        let depth = self.items.len() as u64;
        counters.depth.store(depth, Relaxed);
        counters.weight.store((self.weight + self.hand_weight) as u64, Relaxed);
        if depth > counters.high_water.load(Relaxed) {
            counters.high_water.store(depth, Relaxed);
        }
    }

    /// False if all places are reserved and nothing waits.
    fn drop_oldest(&mut self, counters: &Counters) -> bool {
        let Some(oldest) = self.items.pop_front() else { return false };
        self.weight -= self.bounds.weight_of(&oldest);
        self.front += 1;
        add(&counters.dropped, 1);
        self.note_oldest(counters);
        true
    }

    /// The batch that was not done, or up to `max` of the waiting items; with the count of its redeliveries.
    pub fn take(&mut self, max: usize, counters: &Counters) -> Option<(Arc<Hand<T>>, u32)> {
        if let Some(hand) = &self.in_hand {
            if hand.handled.load(Relaxed) < hand.items.len() {
                self.redelivery += 1;
                add(&counters.redelivered, 1);
                return Some((Arc::clone(hand), self.redelivery));
            }
            // Everything was handled before the incarnation ended; only the word was missing.
            self.in_hand = None;
            self.hand_weight = 0;
            counters.in_hand.store(0, Relaxed);
        }
        if self.items.is_empty() {
            self.note_oldest(counters);
            return None;
        }
        let mut shared_hand = self.spare.take().unwrap_or_default();
        let hand = Arc::get_mut(&mut shared_hand).expect("a spare hand is kept only when nobody else has it");
        hand.first = self.front;
        hand.handled.store(0, Relaxed);
        if self.items.len() <= max {
            std::mem::swap(&mut self.items, &mut hand.items);
            hand.items.make_contiguous();
            self.keys.clear();
            self.hand_weight = std::mem::take(&mut self.weight);
        } else {
            hand.items.extend(self.items.drain(..max.max(1)));
            self.hand_weight = hand.items.iter().map(|item| self.bounds.weight_of(item)).sum();
            self.weight -= self.hand_weight;
        }
        self.front += hand.items.len() as u64;
        self.redelivery = 0;
        counters.in_hand.store(hand.items.len() as u64, Relaxed);
        counters.depth.store(self.items.len() as u64, Relaxed);
        self.in_hand = Some(Arc::clone(&shared_hand));
        Some((shared_hand, 0))
    }

    /// The batch in hand is handled.
    pub fn finish(&mut self, counters: &Counters) {
        self.in_hand = None;
        self.hand_weight = 0;
        counters.in_hand.store(0, Relaxed);
        counters.weight.store(self.weight as u64, Relaxed);
        self.note_oldest(counters);
    }

    /// Keeps an emptied hand, which nobody else has, for the next take.
    pub fn keep_spare(&mut self, spare: Arc<Hand<T>>) {
        self.spare = Some(spare);
    }

    fn note_oldest(&mut self, counters: &Counters) {
        if self.items.is_empty() && self.in_hand.is_none() {
            self.marks.clear();
            counters.oldest_us.store(0, Relaxed);
            return;
        }
        let oldest = self.in_hand.as_ref().map_or(self.front, |hand| hand.first);
        while self.marks.get(1).is_some_and(|(number, _)| *number <= oldest) {
            self.marks.pop_front();
        }
        let oldest_us = self.marks.front().map_or(0, |(_, stamp_us)| stamp_us + 1);
        counters.oldest_us.store(oldest_us, Relaxed);
    }
}
