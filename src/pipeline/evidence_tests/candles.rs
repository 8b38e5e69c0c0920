//! What the candles of a schedule say, held to what was true and what was shown.

use super::{
    END_S, OPEN_S, at,
    check::{Tally, is_disputed},
    market::{Kind, Value, level},
    play::Play,
};
use crate::{
    market::{Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp, UnresolvedCandle},
    store::Batch,
};
use std::collections::BTreeMap;

/// A stream that was silent for no longer than this is taken to have missed nothing.
const STREAM_SLACK_S: i64 = 62;
/// Bodies of the level this far apart show its candles.
const SITE_SLACK_S: i64 = 180;
/// What a stream does not bring of a contract, nothing else may have shown for so long.
const MUTE_S: i64 = 900;

type Key = (InstrumentId, CandleInterval, Timestamp);

/// The candles as a store has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StoredCandles {
    stored: BTreeMap<Key, Candle>,
    /// How much of the batch is stored.
    candles: usize,
    unresolved: usize,
}

impl StoredCandles {
    /// Stores what the batch has got since.
    pub fn take(&mut self, batch: &Batch) {
        for candle in &batch.candles[self.candles..] {
            let key = (candle.instrument, candle.interval, candle.start);
            let before = self.stored.insert(key, *candle);
            if let Some(before) = before {
                assert!(candle.revision > before.revision, "one revision twice: {before:?}, {candle:?}");
                self.stored.get_mut(&key).expect("it was added").resolve_required |= before.resolve_required;
            }
        }
        for UnresolvedCandle { instrument, interval, start } in &batch.unresolved[self.unresolved..] {
            if let Some(candle) = self.stored.get_mut(&(*instrument, *interval, *start)) {
                candle.resolve_required = true;
            }
        }
        (self.candles, self.unresolved) = (batch.candles.len(), batch.unresolved.len());
    }

    fn of(&self, of: InstrumentId, length: CandleInterval) -> impl Iterator<Item = &Candle> {
        let is_of = move |key: &Key| key.0 == of && key.1 == length;
        self.stored.iter().filter(move |(key, _)| is_of(key)).map(|(_, candle)| candle)
    }
}

pub(super) fn check_candles(play: &Play, tally: &mut Tally) -> Result<(), String> {
    let mut at_once = StoredCandles::default();
    at_once.take(&play.batch);
    if at_once != play.candles {
        return Err("the candles depend on how records are put into batches".to_owned());
    }
    for row in &play.batch.instruments {
        let known = |candle: &Candle, why: String| {
            let second = candle.start.us_since(at(0)) / 1_000_000;
            format!("{why}: {} at {second}: {candle:?}", row.contract)
        };
        let Some(contract) = play.market.contracts.iter().position(|known| *known == row.contract) else {
            for length in [CandleInterval::ThreeMinutes, CandleInterval::FiveMinutes] {
                for candle in play.candles.of(row.id, length).filter(|candle| !candle.resolve_required) {
                    check_level(play, candle).map_err(|why| known(candle, why))?;
                }
            }
            continue;
        };
        let (mut volume, mut is_marked) = (0, false);
        for candle in play.candles.of(row.id, CandleInterval::FiveMinutes) {
            volume += candle.volume;
            is_marked |= candle.resolve_required;
            if candle.resolve_required {
                tally.marked_candles += 1;
            } else {
                tally.whole_candles += 1;
                check_candle(play, contract, candle).map_err(|why| {
                    trace(play, contract, candle);
                    known(candle, why)
                })?;
            }
        }
        let Some(day) = play.candles.of(row.id, CandleInterval::Day).next() else {
            if volume > 0 {
                return Err(format!("{} has candles and no day", row.contract));
            }
            continue;
        };
        // Where the values of the one stood still and the other fell silent, the day ends with what stood still.
        let has_frozen = play
            .faults
            .iter()
            .any(|fault| matches!(&fault.kind, Kind::Frozen(frozen) if frozen.contains(&contract)));
        if volume > day.volume && !has_frozen || volume < day.volume && !is_marked {
            return Err(known(day, format!("the day's candles hold {volume}, marked: {is_marked}")));
        }
        tally.unplaced += u64::from(volume < day.volume);
        if !day.resolve_required {
            return Err(known(day, "most of the day was not played".to_owned()));
        }
        let is_shown = |(_, shown): &(i64, i64)| *shown == day.volume;
        if day.volume > 0 && !play.volumes[contract].iter().any(is_shown) {
            return Err(known(day, "it was never shown".to_owned()));
        }
    }
    Ok(())
}

/// Prints what was shown of a contract around a candle, of a single schedule.
fn trace(play: &Play, contract: usize, candle: &Candle) {
    if std::env::var_os("BHAVD_SCHEDULE").is_none() {
        return;
    }
    let start = candle.start.us_since(at(0)) / 1_000_000;
    let is_near = |second: i64| start - 400 < second && second < start + 700;
    for shown in play.shown[contract].iter().filter(|shown| is_near(shown.stamp) || is_near(shown.received)) {
        println!("{shown:?}");
    }
    println!("streamed {:?}", play.streamed[contract]);
    let second = |time: Timestamp| time.us_since(at(0)) / 1_000_000;
    for told in play.batch.candles.iter().filter(|told| told.instrument == candle.instrument) {
        println!("{} told: {told:?}", second(told.start));
    }
    for told in play.batch.buckets.iter().filter(|told| told.instrument == candle.instrument) {
        println!("{} told: {:?} revision {}", second(told.bucket.start()), told.state, told.revision);
    }
}

/// Holds a five-minute candle that asks for nothing to the truth.
fn check_candle(play: &Play, contract: usize, candle: &Candle) -> Result<(), String> {
    let start = candle.start.us_since(at(0)) / 1_000_000;
    let end = start + candle.interval.minutes() * 60;
    let is_muted = play.faults.iter().any(|fault| {
        matches!(&fault.kind, Kind::MuteContracts(of) | Kind::Frozen(of) if of.contains(&contract))
            && fault.from < end
            && start - MUTE_S < fault.until
    });
    if is_muted {
        // Nothing shows it before something else does.
        return Ok(());
    }
    let is_within =
        |spans: &[(i64, i64)], at: i64| spans.iter().any(|(from, until)| *from < at && at <= *until);
    let is_streamed = |at: i64| is_within(&play.streamed[contract], at);
    let truth = |second: i64| play.market.at(contract, second);
    // The volume at a boundary, at least and at most.
    let volume_at = |boundary: i64| -> Result<(i64, i64), String> {
        if boundary <= OPEN_S {
            return Ok((0, 0));
        }
        let known = &play.volumes[contract];
        let before = known.iter().filter(|(at, _)| (OPEN_S..boundary).contains(at)).max();
        let least = before.map_or(0, |(_, least)| *least);
        let after = known.iter().filter(|(at, _)| *at >= boundary).min();
        let is_known = after.is_some_and(|(_, most)| *most == least);
        if !is_known && !is_within(&play.brought[contract], boundary) {
            return Err(format!("it is not known what was traded by {boundary}: {before:?}, {after:?}"));
        }
        let slack = match candle.provider {
            Provider::AngelOne if is_streamed(boundary) => STREAM_SLACK_S,
            _ => SITE_SLACK_S,
        };
        let by_then = truth(boundary - 1).volume;
        Ok((truth(boundary - 1 - slack).volume.min(by_then), by_then))
    };
    let (before, after) = (volume_at(start)?, volume_at(end)?);
    let (least, most) = (after.0 - before.1, after.1 - before.0);
    if !(least..=most).contains(&candle.volume) {
        return Err(format!("its volume is {least} to {most}"));
    }
    let prices = |from: i64, until: i64| {
        let within = move |value: &&Value| (from..until).contains(&value.second);
        play.market.history[contract].iter().filter(within).map(Value::price)
    };
    let told = [candle.open, candle.high, candle.low, candle.close];
    let carried = truth(start).price();
    if let Some(wrong) =
        told.iter().find(|told| **told != carried && !prices(start, end).any(|of| of == **told))
    {
        return Err(format!("{wrong} was no price"));
    }
    // While the website is the forced one, or the one that is believed, the stream's prices are in no candle.
    let is_aside = |kind: &Kind| {
        matches!(kind, Kind::MuteStream(_) | Kind::LostStream(..) | Kind::Override(Provider::Nse))
    };
    let is_silent = play.is_in(start, end, is_aside) || is_disputed(play, contract, start, end);
    let is_whole =
        play.streamed[contract].iter().any(|(from, until)| *from < start.max(OPEN_S) && end <= *until);
    if is_whole && !is_silent && candle.provider == Provider::AngelOne {
        let all = || prices(start, end);
        if let Some(missed) = all().find(|price| *price < candle.low || candle.high < *price) {
            return Err(format!("{missed} was missed"));
        }
        let close = truth(end - 1).price();
        if candle.close != close {
            return Err(format!("it closed with {close}"));
        }
    }
    Ok(())
}

/// Holds a candle of the index that asks for nothing to the truth: the level says when it was.
fn check_level(play: &Play, candle: &Candle) -> Result<(), String> {
    let start = candle.start.us_since(at(0)) / 1_000_000;
    let end = start + candle.interval.minutes() * 60;
    if start >= END_S {
        return Err("nothing was played then".to_owned());
    }
    let second = |price: Price| price.as_e4() - level(0).as_e4();
    let (first, last) = (second(candle.low), second(candle.high));
    if !(start..end).contains(&first) || !(start..end).contains(&last) {
        return Err(format!("levels of {first} and {last}"));
    }
    let shown =
        |from: i64, until: i64| play.levels.iter().copied().filter(move |at| (from..until).contains(at));
    if let Some(missed) = shown(start, end).find(|at| *at < first || last < *at) {
        return Err(format!("the level of {missed} was missed"));
    }
    let before = shown(OPEN_S, start).max().unwrap_or(OPEN_S);
    let after = shown(end, i64::MAX).min();
    if first - before > SITE_SLACK_S || after.is_none_or(|after| after - last > SITE_SLACK_S) {
        return Err(format!("levels of {before}, {first}, {last} and {after:?} are too far apart"));
    }
    Ok(())
}
