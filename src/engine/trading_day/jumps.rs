//! Open interest that jumps: by more than was traded in the whole day.
//!
//! Example: one packet has the open interest of another contract. Where it is the last of a bucket, its row has it, and no look
//! at the latest values ([`super::plausibility`]) falls between it and the next packet.
//!
//! Less than the day's volume says nothing: the exchange counts trades in after half an hour and later (of 258,000 recorded
//! changes of a day, 4,200 were larger than what had been traded in twelve minutes, two larger than the day's volume).
//!
//! Owns what was counted of each provider. A jump changes no row: status names it.

use super::{TradingDay, open_interest::can_become};
use crate::{
    engine::counted::Counted,
    market::{InstrumentId, Provider, Timestamp},
};

/// A change of open interest that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiJump {
    pub instrument: InstrumentId,
    pub before: i64,
    pub after: i64,
    /// Of the day until then.
    pub volume: i64,
    pub event_time: Timestamp,
}

/// Whether open interest cannot have changed so with the volume of the day; what is told of no volume is not judged.
#[inline]
pub(super) fn is_jump(before: i64, after: i64, volume: Option<i64>) -> bool {
    volume.is_some_and(|volume| !can_become(before.max(after), before.min(after), volume))
}

impl TradingDay {
    #[cold]
    pub(super) fn note_jump(&mut self, slot: usize, (before, after): (i64, i64), provider: Provider) {
        let (instrument, latest) = (self.slots[slot].instrument, self.slots[slot].latest);
        let (volume, event_time) = (latest.volume().unwrap_or(0), latest.event_time());
        self.jumps[provider.index()].add(OiJump { instrument, before, after, volume, event_time });
    }

    /// Changes of open interest by more than was traded, of a provider.
    pub fn oi_jumps(&self, provider: Provider) -> Counted<OiJump> {
        self.jumps[provider.index()]
    }
}
