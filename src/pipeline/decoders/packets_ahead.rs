//! The packets of a record, looked up ahead of their reading: the tick path is bound by memory, and no packet waits for it.
//!
//! Owns how far ahead. Each step has what the next one reads fetched: a packet's bytes, its token's entry in the table, its
//! contract's state.

use super::token_table::TokenTable;
use crate::{
    pipeline::{LiveSink, ingest::Ingest},
    prefetch::prefetch_once,
    wire::angel_one::PacketView,
};

/// Packets between two steps: by then what was asked of memory is there.
const PACKETS_AHEAD: usize = 8;
const CACHE_LINE_BYTES: usize = 64;

/// See the module's head.
pub(super) struct PacketsAhead<'a, Frames> {
    tokens: &'a TokenTable,
    unfetched: Frames,
    unviewed: Frames,
    viewed: [Option<PacketView<'a>>; PACKETS_AHEAD],
    found: [Option<(u32, PacketView<'a>)>; PACKETS_AHEAD],
    number: usize,
}

impl<'a, Frames: Iterator<Item = &'a [u8]>> PacketsAhead<'a, Frames> {
    /// `frames` gives those of a record from the first on, each time anew.
    pub fn new(
        frames: impl Fn() -> Frames,
        tokens: &'a TokenTable,
        ingest: &Ingest<'_, impl LiveSink>,
    ) -> PacketsAhead<'a, Frames> {
        let mut ahead = PacketsAhead {
            tokens,
            unfetched: frames(),
            unviewed: frames(),
            viewed: [None; PACKETS_AHEAD],
            found: [None; PACKETS_AHEAD],
            number: 0,
        };
        (0..PACKETS_AHEAD).for_each(|_| ahead.fetch_bytes());
        for _ in 0..2 * PACKETS_AHEAD {
            ahead.next(ingest);
        }
        ahead
    }

    /// The next frame's packet and the slot of its contract. `None` where it is of no recorded one or its token cannot be read,
    /// and after the last.
    #[inline(always)]
    pub fn next(&mut self, ingest: &Ingest<'_, impl LiveSink>) -> Option<(u32, PacketView<'a>)> {
        self.fetch_bytes();
        let place = self.number % PACKETS_AHEAD;
        self.number += 1;
        let view = self.unviewed.next().and_then(PacketView::of);
        view.iter().for_each(|packet| self.tokens.fetch(packet.token()));
        let viewed = std::mem::replace(&mut self.viewed[place], view);
        let slot_of = |packet: PacketView<'a>| Some((self.tokens.get(packet.token())?, packet));
        let found = viewed.and_then(slot_of);
        found.iter().for_each(|(slot, _)| ingest.fetch(*slot));
        std::mem::replace(&mut self.found[place], found)
    }

    #[inline(always)]
    fn fetch_bytes(&mut self) {
        let Some(frame) = self.unfetched.next() else { return };
        frame.iter().step_by(CACHE_LINE_BYTES).for_each(prefetch_once);
    }
}
