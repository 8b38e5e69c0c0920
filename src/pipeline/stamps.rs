//! The exchange's own time in a record, for those who judge the machine's clock by it.

use crate::{
    market::Timestamp,
    spool::{Frames, Source},
    wire::{angel_one, nse},
};

/// When the exchange says that a record's last data were so; `None` for records without such a time, or that cannot be read.
pub fn exchange_stamp(source: Source, frames: &Frames) -> Option<Timestamp> {
    let last = frames.iter().last()?;
    match source {
        Source::ANGEL_ONE_STREAM => {
            Timestamp::from_ms(angel_one::Packet::decode(last).ok()?.exchange_time_ms)
        }
        Source::NSE_CHAIN => nse::peek_timestamp(last).ok(),
        _ => None,
    }
}
