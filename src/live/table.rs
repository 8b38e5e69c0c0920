//! The latest quote of every instrument, by dense slot.
//!
//! One writer, any number of readers, no locks: each slot is a sequence lock whose words are atomics. Chunks of slots are
//! made on first use and never move. Each write also sets the slot's dirty bit; the one cursor takes the bits and thereby
//! sees every slot that changed, once, however often it changed: conflation without a queue. A writer of many quotes
//! stages them and sets the bits of all at once: readers see a staged quote, the cursor learns of it then.

use crate::{
    market::{Price, Provider, Timestamp},
    prefetch::prefetch,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicBool, AtomicI64, AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
        fence,
    },
};

const CHUNK_SLOTS: usize = 4_096;
const WORD_BITS: usize = 64;
const CHUNK_WORDS: usize = CHUNK_SLOTS / WORD_BITS;
const OPTIONAL_VALUES: usize = 7;
/// Presence bits come first in the word of flags, then the provider's code.
const PROVIDER_SHIFT: u32 = 8;

/// The latest known values of one instrument. `None` means that no provider said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveQuote {
    pub event_time: Timestamp,
    pub received_time: Timestamp,
    pub last_price: Option<Price>,
    /// Units.
    pub open_interest: Option<i64>,
    /// Yesterday's final open interest in units.
    pub previous_open_interest: Option<i64>,
    /// Traded today so far, in units.
    pub volume: Option<i64>,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    /// Annual percent times 10,000.
    pub implied_volatility_e4: Option<i64>,
    pub provider: Provider,
}

impl LiveQuote {
    /// Against yesterday's final open interest, in units.
    pub fn open_interest_change(&self) -> Option<i64> {
        Some(self.open_interest?.saturating_sub(self.previous_open_interest?))
    }

    /// The optional values in the order of their presence bits, which is also the live frame's.
    pub(super) fn values(&self) -> [Option<i64>; OPTIONAL_VALUES] {
        [
            self.last_price.map(Price::as_e4),
            self.open_interest,
            self.previous_open_interest,
            self.volume,
            self.bid.map(Price::as_e4),
            self.ask.map(Price::as_e4),
            self.implied_volatility_e4,
        ]
    }

    pub(super) fn from_values(
        event_time: Timestamp,
        received_time: Timestamp,
        provider: Provider,
        values: [Option<i64>; OPTIONAL_VALUES],
    ) -> LiveQuote {
        let [last_price, open_interest, previous_open_interest, volume, bid, ask, implied_volatility_e4] =
            values;
        LiveQuote {
            event_time,
            received_time,
            last_price: last_price.map(Price::from_e4),
            open_interest,
            previous_open_interest,
            volume,
            bid: bid.map(Price::from_e4),
            ask: ask.map(Price::from_e4),
            implied_volatility_e4,
            provider,
        }
    }
}

/// The table refused. The caller skips the instrument and says so, or is built wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    #[error("slot {slot} is beyond the live table's {slots} slots; make the table larger")]
    NoSuchSlot { slot: u32, slots: u32 },
    #[error("another writer has taken the live table over")]
    TakenOver,
}

/// Two cache lines, so that neighbours do not share one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    /// 0: never written. Odd: being written.
    version: AtomicU64,
    flags: AtomicU64,
    event_us: AtomicI64,
    received_us: AtomicI64,
    values: [AtomicI64; OPTIONAL_VALUES],
}

#[derive(Debug)]
struct Chunk {
    slots: Box<[Slot]>,
    dirty: Box<[AtomicU64]>,
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            slots: (0..CHUNK_SLOTS).map(|_| Slot::default()).collect(),
            dirty: (0..CHUNK_WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

#[derive(Debug)]
pub struct LiveTable {
    chunks: Box<[OnceLock<Chunk>]>,
    /// One more than the highest slot written.
    len: AtomicU32,
    writes: AtomicU64,
    writer: Seat,
    cursor: Seat,
}

/// A right that one holder has. Taken over, the earlier holder's is void.
#[derive(Debug, Default)]
struct Seat {
    is_taken: AtomicBool,
    /// The holder's number.
    holder: AtomicU64,
}

impl Seat {
    /// `None` while somebody has it.
    fn take(&self) -> Option<u64> {
        let is_free = !self.is_taken.swap(true, AcqRel);
        is_free.then(|| self.holder.fetch_add(1, AcqRel) + 1)
    }

    fn take_over(&self) -> u64 {
        self.is_taken.store(true, Release);
        self.holder.fetch_add(1, AcqRel) + 1
    }

    fn is_held_by(&self, number: u64) -> bool {
        self.holder.load(Acquire) == number
    }

    fn give_back(&self, number: u64) {
        if self.is_held_by(number) {
            self.is_taken.store(false, Release);
        }
    }
}

impl LiveTable {
    /// Room for at least `slots` slots. Memory (about 128 bytes a slot) is taken as slots are first written.
    pub fn new(slots: u32) -> Arc<LiveTable> {
        let chunks = (slots as usize).div_ceil(CHUNK_SLOTS).max(1);
        Arc::new(LiveTable {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
            len: AtomicU32::new(0),
            writes: AtomicU64::new(0),
            writer: Seat::default(),
            cursor: Seat::default(),
        })
    }

    /// The right to write; `None` while somebody has it. Given back when dropped.
    pub fn writer(self: &Arc<Self>) -> Option<LiveWriter> {
        self.writer.take().map(|number| self.writer_numbered(number))
    }

    /// The right to write, taken from whoever has it: what that one still writes is refused. A writer that is stopped
    /// inside a slot at that moment may still mix its values into that one quote; the slot's next write mends it.
    pub fn take_over_writer(self: &Arc<Self>) -> LiveWriter {
        self.writer_numbered(self.writer.take_over())
    }

    fn writer_numbered(self: &Arc<Self>, number: u64) -> LiveWriter {
        LiveWriter { table: Arc::clone(self), number, marks: Vec::new(), marked: Vec::new() }
    }

    /// The right to take dirty bits; `None` while somebody has it. Given back when dropped.
    pub fn dirty_cursor(self: &Arc<Self>) -> Option<DirtyCursor> {
        self.cursor.take().map(|number| DirtyCursor { table: Arc::clone(self), number, word: 0 })
    }

    /// The right to take dirty bits, taken from whoever has it: that one finds nothing dirty any more. Bits it took
    /// before are gone; [`DirtyCursor::mark_all`] brings them back.
    pub fn take_over_dirty_cursor(self: &Arc<Self>) -> DirtyCursor {
        DirtyCursor { table: Arc::clone(self), number: self.cursor.take_over(), word: 0 }
    }

    /// One more than the highest slot written.
    pub fn len(&self) -> u32 {
        self.len.load(Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Quotes written since the start.
    pub fn writes(&self) -> u64 {
        self.writes.load(Relaxed)
    }

    /// The latest quote, whole. `None` if there was none. Repeats while the writer is inside the slot, some nanoseconds.
    pub fn read(&self, slot: u32) -> Option<LiveQuote> {
        let slot = slot as usize;
        let chunk = self.chunks.get(slot / CHUNK_SLOTS)?.get()?;
        let slot = &chunk.slots[slot % CHUNK_SLOTS];
        let mut attempts = 0_u32;
        loop {
            // Acquire: if this is the version a write ended with, that write's words are visible below.
            let before = slot.version.load(Acquire);
            if before == 0 {
                return None;
            }
            if before % 2 == 0 {
                let flags = slot.flags.load(Relaxed);
                let event_time = Timestamp::from_us(slot.event_us.load(Relaxed));
                let received_time = Timestamp::from_us(slot.received_us.load(Relaxed));
                let words: [i64; OPTIONAL_VALUES] =
                    std::array::from_fn(|index| slot.values[index].load(Relaxed));
                // If any word above came from a later write, this fence meets the writer's release fence before that
                // word, so the load below sees at least the odd version that write began with.
                fence(Acquire);
                if slot.version.load(Relaxed) == before {
                    let values =
                        std::array::from_fn(|index| (flags >> index & 1 == 1).then_some(words[index]));
                    let provider = Provider::from_code((flags >> PROVIDER_SHIFT) as u8)?;
                    return Some(LiveQuote::from_values(event_time, received_time, provider, values));
                }
            }
            attempts += 1;
            if attempts.is_multiple_of(64) {
                // The writer lost its core inside the slot.
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

/// The one writer of a table.
#[derive(Debug)]
pub struct LiveWriter {
    table: Arc<LiveTable>,
    number: u64,
    /// Dirty bits of staged quotes, by word.
    marks: Vec<u64>,
    /// Words that have some.
    marked: Vec<u32>,
}

impl LiveWriter {
    /// Replaces the slot's quote and marks it dirty.
    ///
    /// # Errors
    /// [`LiveError::NoSuchSlot`], and [`LiveError::TakenOver`] once another has the right.
    pub fn write(&mut self, slot: u32, quote: &LiveQuote) -> Result<(), LiveError> {
        self.stage(slot, quote)?;
        self.settle();
        Ok(())
    }

    /// Replaces the slot's quote; it counts as dirty after [`Self::settle`]. Setting a bit in memory that a cursor shares
    /// waits for all stores before it, so many quotes are staged faster than written.
    ///
    /// # Errors
    /// [`LiveError::NoSuchSlot`], and [`LiveError::TakenOver`] once another has the right.
    pub fn stage(&mut self, slot: u32, quote: &LiveQuote) -> Result<(), LiveError> {
        let table = &*self.table;
        if !table.writer.is_held_by(self.number) {
            return Err(LiveError::TakenOver);
        }
        let index = slot as usize;
        let Some(chunk) = table.chunks.get(index / CHUNK_SLOTS) else {
            return Err(LiveError::NoSuchSlot { slot, slots: (table.chunks.len() * CHUNK_SLOTS) as u32 });
        };
        let chunk = chunk.get_or_init(Chunk::new);
        let place = &chunk.slots[index % CHUNK_SLOTS];
        let values = quote.values();
        let present = values.iter().rev().fold(0, |bits, value| bits << 1 | u64::from(value.is_some()));
        let odd = place.version.load(Relaxed) | 1;
        place.version.store(odd, Relaxed);
        // A reader that sees any word stored below also sees the odd version: see `read`.
        fence(Release);
        place.flags.store(present | u64::from(quote.provider.code()) << PROVIDER_SHIFT, Relaxed);
        place.event_us.store(quote.event_time.as_us(), Relaxed);
        place.received_us.store(quote.received_time.as_us(), Relaxed);
        for (word, value) in place.values.iter().zip(values) {
            word.store(value.unwrap_or(0), Relaxed);
        }
        place.version.store(odd + 1, Release);
        if table.len.load(Relaxed) <= slot {
            table.len.store(slot + 1, Release);
        }
        table.writes.store(table.writes.load(Relaxed) + 1, Relaxed);
        let word = index / WORD_BITS;
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        if self.marks[word] == 0 {
            self.marked.push(word as u32);
        }
        self.marks[word] |= 1 << (index % WORD_BITS);
        Ok(())
    }

    /// Marks what was staged as dirty.
    pub fn settle(&mut self) {
        for word in self.marked.drain(..) {
            let word = word as usize;
            let bits = std::mem::take(&mut self.marks[word]);
            if let Some(chunk) = self.table.chunks[word / CHUNK_WORDS].get() {
                // Release: who takes the bits sees the quotes. They are set even if they seem set, because the cursor may
                // just have taken them and read the older quotes.
                chunk.dirty[word % CHUNK_WORDS].fetch_or(bits, Release);
            }
        }
    }

    /// Has a slot's memory fetched, which is going to be written.
    #[inline]
    pub fn fetch(&self, slot: u32) {
        let index = slot as usize;
        let Some(chunk) = self.table.chunks.get(index / CHUNK_SLOTS).and_then(OnceLock::get) else { return };
        let slot = &chunk.slots[index % CHUNK_SLOTS];
        prefetch(&slot.version);
        prefetch(&slot.values[OPTIONAL_VALUES - 1]);
    }
}

impl Drop for LiveWriter {
    fn drop(&mut self) {
        self.settle();
        self.table.writer.give_back(self.number);
    }
}

/// Follows what changed. Bits not taken stay for the next cursor.
#[derive(Debug)]
pub struct DirtyCursor {
    table: Arc<LiveTable>,
    number: u64,
    /// Where the next drain begins, so that busy low slots do not starve high ones.
    word: usize,
}

impl DirtyCursor {
    /// Calls `visit` once for each of up to `max` slots written since they were last visited; returns how many.
    pub fn drain(&mut self, max: usize, mut visit: impl FnMut(u32)) -> usize {
        let words = self.table.chunks.len() * CHUNK_WORDS;
        let mut visited = 0;
        if !self.table.cursor.is_held_by(self.number) {
            return visited;
        }
        for _ in 0..words {
            if visited >= max {
                break;
            }
            let word = self.word;
            let Some(chunk) = self.table.chunks[word / CHUNK_WORDS].get() else {
                // Chunks are made in any order; skip this one whole.
                self.word = (word / CHUNK_WORDS + 1) * CHUNK_WORDS % words;
                continue;
            };
            let dirty = &chunk.dirty[word % CHUNK_WORDS];
            if dirty.load(Relaxed) != 0 {
                let mut bits = dirty.swap(0, Acquire);
                while bits != 0 && visited < max {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    visit((word * WORD_BITS) as u32 + bit);
                    visited += 1;
                }
                if bits != 0 {
                    dirty.fetch_or(bits, Release);
                    break;
                }
            }
            self.word = (word + 1) % words;
        }
        visited
    }

    /// Marks every slot that was ever written, for a receiver that starts from nothing.
    pub fn mark_all(&mut self) {
        for chunk in self.table.chunks.iter().filter_map(OnceLock::get) {
            for (word, slots) in chunk.dirty.iter().zip(chunk.slots.chunks(WORD_BITS)) {
                let bits = slots
                    .iter()
                    .enumerate()
                    .filter(|(_, slot)| slot.version.load(Relaxed) != 0)
                    .fold(0, |bits, (bit, _)| bits | 1 << bit);
                word.fetch_or(bits, Release);
            }
        }
    }

    pub fn table(&self) -> &Arc<LiveTable> {
        &self.table
    }
}

impl Drop for DirtyCursor {
    fn drop(&mut self) {
        self.table.cursor.give_back(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every value follows from one number, so that a torn quote shows.
    fn quote_of(number: i64) -> LiveQuote {
        let value = (number % 3 != 0).then_some(number);
        let provider = if number % 2 == 0 { Provider::AngelOne } else { Provider::Nse };
        let time = Timestamp::from_us(number);
        LiveQuote::from_values(time, time, provider, [value; OPTIONAL_VALUES])
    }

    #[test]
    fn reads_what_was_written() {
        let table = LiveTable::new(10_000);
        let mut writer = table.writer().expect("the first");
        assert!(table.writer().is_none());
        assert_eq!(table.read(4_096), None);
        for number in [1, 3, 2] {
            writer.write(4_096, &quote_of(number)).expect("in the table");
            assert_eq!(table.read(4_096), Some(quote_of(number)));
        }
        let mixed = LiveQuote { bid: None, volume: Some(0), ..quote_of(5) };
        writer.write(0, &mixed).expect("in the table");
        assert_eq!(table.read(0), Some(mixed));
        assert_eq!((table.read(1), table.len(), table.writes()), (None, 4_097, 4));
        let error = writer.write(20_000, &mixed).expect_err("beyond");
        assert_eq!(error, LiveError::NoSuchSlot { slot: 20_000, slots: 12_288 });
        drop(writer);
        assert!(table.writer().is_some());
    }

    #[test]
    fn staged_quotes_are_read_at_once_and_dirty_once_settled() {
        let table = LiveTable::new(10_000);
        let mut cursor = table.dirty_cursor().expect("the first");
        let drained = |cursor: &mut DirtyCursor| {
            let mut visited = Vec::new();
            cursor.drain(100, |slot| visited.push(slot));
            // A cursor goes on where it stopped.
            visited.sort_unstable();
            visited
        };
        let mut writer = table.writer().expect("the first");
        for slot in [5_000, 1, 64, 1] {
            writer.fetch(slot);
            writer.stage(slot, &quote_of(7)).expect("in the table");
            assert_eq!(table.read(slot), Some(quote_of(7)));
        }
        assert!(drained(&mut cursor).is_empty());
        writer.settle();
        assert_eq!(drained(&mut cursor), [1, 64, 5_000]);
        writer.settle();
        assert!(drained(&mut cursor).is_empty());
        writer.stage(9, &quote_of(8)).expect("in the table");
        drop(writer);
        assert_eq!(drained(&mut cursor), [9]);
    }

    #[test]
    fn a_writer_that_was_followed_writes_nothing_and_gives_nothing_back() {
        let table = LiveTable::new(10);
        let mut cursor = table.dirty_cursor().expect("the first");
        let mut first = table.writer().expect("the first");
        first.stage(1, &quote_of(1)).expect("it has the right");
        let mut next = table.take_over_writer();
        assert_eq!(first.stage(1, &quote_of(2)), Err(LiveError::TakenOver));
        assert_eq!(first.write(2, &quote_of(2)), Err(LiveError::TakenOver));
        assert_eq!((table.read(1), table.read(2)), (Some(quote_of(1)), None));
        next.write(3, &quote_of(3)).expect("it has the right");
        // What the first had staged is in the table, so it is shown; its end leaves the right where it is.
        drop(first);
        assert!(table.writer().is_none(), "the next one writes");
        let mut visited = BTreeSet::new();
        cursor.drain(10, |slot| assert!(visited.insert(slot)));
        assert_eq!(visited, BTreeSet::from([1, 3]));
        let mut last = table.take_over_writer();
        assert_eq!(next.write(3, &quote_of(4)), Err(LiveError::TakenOver));
        last.write(3, &quote_of(5)).expect("it has the right");
        drop(next);
        drop(last);
        assert_eq!((table.read(3), table.writes()), (Some(quote_of(5)), 3));
        assert!(table.writer().is_some(), "the last one gave it back");
    }

    #[test]
    fn a_cursor_that_was_followed_takes_nothing_and_its_follower_finds_all() {
        let table = LiveTable::new(10);
        let mut writer = table.writer().expect("the first");
        let mut first = table.dirty_cursor().expect("the first");
        for slot in [1, 2] {
            writer.write(slot, &quote_of(1)).expect("in the table");
        }
        let taken = |cursor: &mut DirtyCursor| {
            let mut visited = BTreeSet::new();
            cursor.drain(10, |slot| assert!(visited.insert(slot)));
            visited
        };
        assert_eq!(taken(&mut first), BTreeSet::from([1, 2]));
        let mut next = table.take_over_dirty_cursor();
        writer.write(3, &quote_of(1)).expect("in the table");
        assert_eq!(taken(&mut first), BTreeSet::new(), "it was followed");
        drop(first);
        assert!(table.dirty_cursor().is_none(), "the next one follows");
        next.mark_all();
        assert_eq!(taken(&mut next), BTreeSet::from([1, 2, 3]), "what the first took may never have arrived");
    }

    #[test]
    fn a_slot_is_visited_once_however_often_it_was_written() {
        let table = LiveTable::new(10_000);
        let mut writer = table.writer().expect("the first");
        let mut cursor = table.dirty_cursor().expect("the first");
        let slots = [9_000, 3, 64, 65, 63, 4_095, 9_000, 3];
        for slot in slots {
            writer.write(slot, &quote_of(1)).expect("in the table");
        }
        let mut visited = Vec::new();
        while cursor.drain(2, |slot| visited.push(slot)) > 0 {}
        assert_eq!(visited.len(), 6);
        assert_eq!(visited.into_iter().collect::<BTreeSet<u32>>(), BTreeSet::from(slots));
        cursor.mark_all();
        let mut again = BTreeSet::new();
        assert_eq!(cursor.drain(100, |slot| assert!(again.insert(slot))), 6);
        assert_eq!(again, BTreeSet::from(slots));
    }

    #[test]
    fn readers_never_see_half_a_quote_and_the_cursor_never_misses_the_last() {
        const SLOTS: u32 = 3;
        const WRITES: i64 = 200_000;
        let table = LiveTable::new(SLOTS);
        let mut cursor = table.dirty_cursor().expect("the first");
        let mut writer = table.writer().expect("the first");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut newest = [0; SLOTS as usize];
                    while newest.iter().any(|number| *number <= WRITES - i64::from(SLOTS)) {
                        for slot in 0..SLOTS {
                            let Some(quote) = table.read(slot) else { continue };
                            let number = quote.event_time.as_us();
                            assert_eq!(quote, quote_of(number));
                            assert!(number >= newest[slot as usize], "time went back");
                            newest[slot as usize] = number;
                        }
                    }
                });
            }
            scope.spawn(|| {
                for number in 1..=WRITES {
                    let slot = (number % i64::from(SLOTS)) as u32;
                    writer.write(slot, &quote_of(number)).expect("in the table");
                }
            });
            let mut seen = [0; SLOTS as usize];
            while seen.iter().any(|number| *number <= WRITES - i64::from(SLOTS)) {
                cursor.drain(10, |slot| {
                    let quote = table.read(slot).expect("dirty means written");
                    seen[slot as usize] = quote.event_time.as_us();
                });
            }
        });
    }
}
