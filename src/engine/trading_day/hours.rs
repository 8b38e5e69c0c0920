//! Other hours of a day that has begun: a later close, or whatever changes before the session opens.
//!
//! What was between the old close and the instant at which a later one is known counted for no bucket, by any provider. So no
//! provider proves anything of that time, and a bucket that the old close had cut short is judged again by its full length.

use super::{SessionHours, TradingDay};
use crate::{
    engine::{intervals::Intervals, rows::Rows},
    market::{Bucket, InstrumentId, Provider, Timestamp},
};

/// The last one may be short.
pub(super) fn bucket_count(hours: SessionHours) -> usize {
    let span_us = hours.close.us_since(Bucket::containing(hours.open).start()).max(0);
    (span_us as u64).div_ceil(Bucket::LENGTH_US as u64) as usize
}

impl TradingDay {
    /// The day's hours from `now` on, and the close of each instrument. Before both opens they may be any; after that, the
    /// open stays and no close becomes earlier.
    pub fn change_hours(
        &mut self,
        hours: SessionHours,
        close_of: impl Fn(InstrumentId) -> Timestamp,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let before = std::mem::replace(&mut self.hours, hours);
        if hours.open != before.open {
            self.buckets = Intervals::new(Bucket::containing(hours.open).start(), Bucket::LENGTH_US);
            self.candles.set_open(hours.open);
        }
        let cut = self.bucket_count.saturating_sub(1);
        self.bucket_count = bucket_count(hours);
        self.marks.set_bucket_count(self.bucket_count);
        let closes_before = std::mem::take(&mut self.closes);
        for slot in 0..self.slots.len() {
            let (close, close_before) =
                (close_of(self.slots[slot].instrument), closes_before[self.slots[slot].close()]);
            let number = self.number_of_close(close);
            self.slots[slot].set_close(number);
            if close != close_before {
                self.after_close.remove(&slot);
                self.replaced_after_close.remove(&slot);
            }
        }
        self.next_check = Timestamp::NEVER;
        self.chains.iter_mut().for_each(|chain| chain.next_check = Timestamp::NEVER);
        if now >= before.close {
            self.go_on_after(before.close, cut, now, rows);
        }
    }

    /// Begins again after a close that was none; `cut` is the bucket that it ended.
    fn go_on_after(&mut self, close: Timestamp, cut: usize, now: Timestamp, rows: &mut Rows) {
        self.is_day_closed = false;
        let is_short = self.bucket(cut).end() > close;
        for (context, ends) in self.contexts.iter_mut().zip(&mut self.ends) {
            context.proved_until = context.proved_until.min(close);
            if is_short {
                ends.take_back(cut);
            }
        }
        for track in self.others.iter_mut() {
            track.proved_until = track.proved_until.min(close);
            if is_short {
                track.ends.take_back(cut);
            }
        }
        Provider::ALL.into_iter().for_each(|provider| self.set_down(provider, close, now, rows));
        if is_short {
            (0..self.slots.len()).for_each(|slot| {
                self.judge_again(slot, cut, None, rows);
            });
        }
    }

    /// The number of a closing time of the day.
    pub(super) fn number_of_close(&mut self, close: Timestamp) -> u8 {
        let number = self.closes.iter().position(|known| *known == close).unwrap_or_else(|| {
            self.closes.push(close);
            self.closes.len() - 1
        });
        u8::try_from(number).expect("a calendar knows a handful of closing times")
    }
}
