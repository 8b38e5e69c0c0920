//! Open interest that jumps: by more than was traded in the whole day, or to a value from which it comes back at once.
//!
//! Examples: one packet has the open interest of another contract; packets show today's and yesterday's figure in turn. Where
//! such a packet is the last of a bucket, its row has it, and no look at the latest values ([`super::plausibility`]) need fall
//! between it and the next one.
//!
//! Less than the day's volume says nothing of one change: the exchange counts trades in after half an hour and later (of 258,000
//! recorded changes of a day, 4,200 were larger than what had been traded in twelve minutes, two larger than the day's volume).
//! What comes back does: one of those to more than double or less than half was taken back within twelve minutes.
//!
//! Owns the last large change of each contract, and what was counted of each provider. A jump changes no row: status names it.

use super::{
    TradingDay,
    open_interest::{are_far_apart, can_become},
};
use crate::{
    engine::counted::Counted,
    market::{InstrumentId, Provider, Timestamp},
};
use std::collections::BTreeMap;

/// Of less open interest, a few trades are a large part.
const LARGE_MIN: i64 = 5_000;
/// A smaller part is no large change: a position of a quiet contract is opened and closed again and again.
const LARGE_PART: i64 = 10;
/// A change that is taken back later may be one of the market.
const BACK_US: i64 = 720_000_000;
/// A value has come back if it differs by less than this part of the change.
const BACK_PART: i64 = 5;
/// So many changes to and fro are none of a market, however large they are. A random walk of few positions makes four.
const SWINGS_MAX: u8 = 8;

/// A change of open interest that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiJump {
    pub instrument: InstrumentId,
    pub before: i64,
    pub after: i64,
    pub event_time: Timestamp,
    pub fault: OiJumpFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OiJumpFault {
    /// Only so much was traded in the day until then.
    Volume(i64),
    /// It has come back from there, to this value.
    Back(i64),
}

/// The last large change of a contract.
#[derive(Clone, Copy, Debug)]
struct Swing {
    before: i64,
    after: i64,
    at: Timestamp,
    /// How many changes in a row took the one before back.
    returns: u8,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Jumps {
    swings: BTreeMap<u32, Swing>,
    /// In the order of [`Provider::ALL`].
    counted: [Counted<OiJump>; Provider::ALL.len()],
}

impl Swing {
    /// Whether a change from `before` to `after` takes this one back.
    fn is_taken_back(&self, before: i64, after: i64, at: Timestamp) -> bool {
        let near = self.before.abs_diff(self.after) / BACK_PART as u64;
        at.us_since(self.at) <= BACK_US
            && before.abs_diff(self.after) <= near
            && after.abs_diff(self.before) <= near
    }
}

/// Whether a change is one of a large part of a large open interest, or of more than was traded in the day.
#[inline]
pub(super) fn is_large(before: i64, after: i64, volume: Option<i64>) -> bool {
    let larger = before.max(after);
    let is_large = larger >= LARGE_MIN && (after - before).abs() >= larger / LARGE_PART;
    is_large || is_beyond(before, after, volume)
}

/// What is told of no volume is not judged.
#[inline]
fn is_beyond(before: i64, after: i64, volume: Option<i64>) -> bool {
    volume.is_some_and(|volume| !can_become(before.max(after), before.min(after), volume))
}

impl TradingDay {
    /// Looks at a large change of the latest open interest.
    #[cold]
    pub(super) fn note_large_change(&mut self, slot: usize, (before, after): (i64, i64), provider: Provider) {
        let (instrument, latest) = (self.slots[slot].instrument, self.slots[slot].latest);
        let (event_time, key) = (latest.event_time(), slot as u32);
        let known = self.jumps.swings.get(&key).copied();
        let known = known.filter(|known| known.is_taken_back(before, after, event_time));
        let returns = known.map_or(0, |known| known.returns.saturating_add(1));
        self.jumps.swings.insert(key, Swing { before, after, at: event_time, returns });
        let back = known.filter(|known| {
            let is_large = known.before.max(known.after) >= LARGE_MIN;
            is_large && are_far_apart(known.before, known.after) || returns >= SWINGS_MAX
        });
        let volume = latest.volume();
        let jump = match back {
            Some(Swing { before: from, after: to, at, .. }) => OiJump {
                instrument,
                before: from,
                after: to,
                event_time: at,
                fault: OiJumpFault::Back(after),
            },
            None if is_beyond(before, after, volume) => {
                let fault = OiJumpFault::Volume(volume.unwrap_or(0));
                OiJump { instrument, before, after, event_time, fault }
            }
            None => return,
        };
        self.jumps.counted[provider.index()].add(jump);
    }

    /// Changes of open interest of a provider that cannot be.
    pub fn oi_jumps(&self, provider: Provider) -> Counted<OiJump> {
        self.jumps.counted[provider.index()]
    }
}
