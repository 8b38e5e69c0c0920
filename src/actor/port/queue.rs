//! What a port holds, as a plain state machine under its lock.

use super::{
    Policy,
    gauge::{Counters, add},
};
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
    first: u64,
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
    capacity: usize,
    items: VecDeque<T>,
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
    reserved: usize,
    closed: bool,
    pub consumer_waits: bool,
    pub producers_wait: bool,
}

impl<T> Queue<T> {
    pub fn new(capacity: usize) -> Queue<T> {
        Queue {
            capacity,
            items: VecDeque::new(),
            front: 0,
            marks: VecDeque::new(),
            keys: FxHashMap::default(),
            in_hand: None,
            redelivery: 0,
            spare: None,
            reserved: 0,
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

    pub fn is_full(&self) -> bool {
        self.items.len() + self.reserved >= self.capacity
    }

    /// Whether nothing waits and no permit can still bring something. A drain looks at what is in hand first.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty() && self.reserved == 0
    }

    pub fn reserve(&mut self) {
        self.reserved += 1;
    }

    /// Gives a reserved place back.
    pub fn release(&mut self) {
        self.reserved -= 1;
    }

    /// Puts an item into a reserved place, even when closed since.
    pub fn redeem(&mut self, item: T, counters: &Counters) {
        self.reserved -= 1;
        self.append(item, counters);
    }

    pub fn offer(&mut self, item: T, policy: Policy<T>, counters: &Counters) -> Offer<T> {
        if self.closed {
            return Offer::Closed(item);
        }
        if let Policy::Conflate(key_of) = policy {
            return self.conflate(key_of(&item), item, counters);
        }
        if self.is_full() {
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
        let room = self.capacity.saturating_sub(self.items.len() + self.reserved);
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
            self.items[place as usize] = item;
            add(&counters.accepted, 1);
            add(&counters.conflated, 1);
            return Offer::Accepted;
        }
        if self.is_full() && !self.drop_oldest(counters) {
            add(&counters.rejected, 1);
            return Offer::Full(item);
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
        self.items.push_back(item);
        add(&counters.accepted, 1);
        self.note_depth(counters);
    }

    fn note_depth(&self, counters: &Counters) {
        let depth = self.items.len() as u64;
        counters.depth.store(depth, Relaxed);
        if depth > counters.high_water.load(Relaxed) {
            counters.high_water.store(depth, Relaxed);
        }
    }

    /// False if all places are reserved and nothing waits.
    fn drop_oldest(&mut self, counters: &Counters) -> bool {
        if self.items.pop_front().is_none() {
            return false;
        }
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
        } else {
            hand.items.extend(self.items.drain(..max.max(1)));
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
        counters.in_hand.store(0, Relaxed);
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
