//! SmartStream packets of played values.
//!
//! Last price, open interest, volume, open, high and low are what was played. The other fields are derived from them,
//! plausible and always the same for the same values and book: best prices one tick around the last, quantities in
//! lots, the first price as yesterday's close. The exchange time is the last change's, or that of the [`Moment`] at
//! which the book is shown.

use super::super::{
    irregularities::Withdrawn,
    market::{Reference, SimContract},
    state::SlotState,
};
use crate::{
    market::{InstrumentKind, Price, Timestamp},
    sim::SimMarket,
    wire::angel_one::{
        DayStatistics, Depth, DepthEntry, DepthLevel, Detail, FullQuote, Packet, Snapshot, StreamMode,
    },
};

/// When a contract is shown, and how its book stands then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Exchange time.
    pub stamp_ms: i64,
    /// The second of the book's newest movement; 0 if it has not moved since the contract's last change.
    pub book: i64,
    pub withdrawn: Withdrawn,
}

impl Moment {
    /// That of a contract's last change.
    #[inline]
    pub fn of_change(state: &SlotState) -> Moment {
        Moment { stamp_ms: state.time_ms, book: 0, withdrawn: Withdrawn::default() }
    }
}

/// The packet of a contract's state in a mode, as of its last change. The state must be known.
pub fn packet_of(market: &SimMarket, slot: usize, state: &SlotState, mode: StreamMode) -> Packet {
    packet_at(market, slot, state, mode, Moment::of_change(state))
}

/// The same at another moment.
#[inline]
pub(super) fn packet_at(
    market: &SimMarket,
    slot: usize,
    state: &SlotState,
    mode: StreamMode,
    moment: Moment,
) -> Packet {
    let (listed, reference) = (&market.contracts()[slot], market.reference(slot));
    let is_index = listed.contract.kind == InstrumentKind::Index;
    let detail = match mode {
        StreamMode::Ltp => Detail::Ltp,
        StreamMode::Quote => Detail::Quote(day_statistics(listed, reference, state, moment)),
        StreamMode::SnapQuote => Detail::SnapQuote(
            day_statistics(listed, reference, state, moment),
            snapshot(listed, reference, state, moment),
        ),
    };
    Packet {
        token: listed.token,
        sequence: if is_index { 0 } else { state.sequence() },
        exchange_time_ms: moment.stamp_ms,
        last_price_paise: paise(state.last_price().unwrap_or_default()),
        detail,
    }
}

const fn paise(price: Price) -> i64 {
    price.as_paise()
}

/// Spreads the sequence number over all bits, for fields that only have to vary.
fn scatter(state: &SlotState) -> u64 {
    (state.sequence() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The same for fields that vary with the book as well.
fn scatter_book(state: &SlotState, moment: Moment) -> u64 {
    scatter(state) ^ (moment.book as u64).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn lots_of(listed: &SimContract, lots: u64) -> i64 {
    i64::from(listed.lot_size) * lots as i64
}

fn has_book(listed: &SimContract, state: &SlotState) -> bool {
    listed.contract.kind != InstrumentKind::Index
        && state.last_price().is_some_and(|price| price > Price::ZERO)
}

#[inline]
fn day_statistics(
    listed: &SimContract,
    reference: &Reference,
    state: &SlotState,
    moment: Moment,
) -> DayStatistics {
    let [open, high, low] = state.open_high_low();
    let (bits, book) = (scatter(state), scatter_book(state, moment));
    let quoted = |is_withdrawn: bool, lots: u64| match has_book(listed, state) && !is_withdrawn {
        true => lots_of(listed, 100 + lots % 900),
        false => 0,
    };
    let (buy, sell) = (quoted(moment.withdrawn.bid, book >> 20), quoted(moment.withdrawn.ask, book >> 32));
    let is_traded = state.volume().is_some_and(|volume| volume > 0);
    DayStatistics {
        last_quantity: if is_traded { lots_of(listed, 1 + bits % 5) } else { 0 },
        average_price_paise: (paise(high) + paise(low)) / 2,
        volume: state.volume().unwrap_or(0),
        total_buy_quantity: buy as f64,
        total_sell_quantity: sell as f64,
        open_paise: paise(open),
        high_paise: paise(high),
        low_paise: paise(low),
        close_paise: paise(Price::from_e4(reference.first_price_e4)),
    }
}

/// Five levels a side, a tick apart; a level below zero and a withdrawn side are empty.
fn depth(listed: &SimContract, state: &SlotState, moment: Moment) -> [DepthEntry; 10] {
    let mut entries = [DepthEntry::default(); 10];
    for entry in &mut entries[..5] {
        entry.flag = 1;
    }
    if !has_book(listed, state) {
        return entries;
    }
    let last = paise(state.last_price().unwrap_or_default());
    let tick = paise(listed.tick_size).max(1);
    let bits = scatter_book(state, moment);
    for level in 0..5 {
        let quantity = lots_of(listed, 1 + (bits >> (8 * level)) % 40);
        let orders = 1 + (bits >> (6 * level)) as u16 % 9;
        let away = tick * (level as i64 + 1);
        if last > away && !moment.withdrawn.bid {
            entries[level] = DepthEntry::buy(last - away, quantity, orders);
        }
        if !moment.withdrawn.ask {
            entries[5 + level] = DepthEntry::sell(last + away, quantity, orders);
        }
    }
    entries
}

#[inline]
fn snapshot(listed: &SimContract, reference: &Reference, state: &SlotState, moment: Moment) -> Snapshot {
    let open_interest = state.open_interest().unwrap_or(0);
    let first = reference.first_open_interest;
    let change = if first > 0 { (open_interest - first) as f64 * 100.0 / first as f64 } else { 0.0 };
    let close = paise(Price::from_e4(reference.first_price_e4));
    Snapshot {
        last_trade_time_s: state.time_ms.div_euclid(1_000),
        open_interest,
        open_interest_change_percent: change,
        depth: depth(listed, state, moment),
        upper_circuit_paise: close * 3,
        lower_circuit_paise: listed.tick_size.as_paise(),
        high_52_weeks_paise: close * 4,
        low_52_weeks_paise: close / 4,
    }
}

/// The same values as a row of a quote answer.
pub(super) fn full_quote(market: &SimMarket, slot: usize, state: &SlotState, moment: Moment) -> FullQuote {
    let (listed, reference) = (&market.contracts()[slot], market.reference(slot));
    let day = day_statistics(listed, reference, state, moment);
    let snapshot = snapshot(listed, reference, state, moment);
    let last = state.last_price().unwrap_or_default();
    let close = Price::from_e4(reference.first_price_e4);
    let rupees = |paise: i64| Price::from_paise(paise).unwrap_or_default();
    let level = |entry: &DepthEntry| DepthLevel {
        price: rupees(entry.price_paise),
        quantity: entry.quantity,
        orders: i64::from(entry.orders),
    };
    let net_change = (last.as_e4() - close.as_e4()) as f64 / 10_000.0;
    let percent = if close > Price::ZERO { net_change / close.as_rupees() * 100.0 } else { 0.0 };
    let [open, high, low] = state.open_high_low();
    FullQuote {
        exchange: listed.token.segment,
        trading_symbol: listed.symbol.to_string(),
        symbol_token: listed.token.token,
        ltp: last,
        open,
        high,
        low,
        close,
        last_trade_qty: day.last_quantity,
        exch_feed_time: Timestamp::from_us(moment.stamp_ms * 1_000),
        exch_trade_time: state.event_time(),
        net_change,
        percent_change: (percent * 100.0).round() / 100.0,
        avg_price: rupees(day.average_price_paise),
        trade_volume: day.volume,
        opn_interest: snapshot.open_interest,
        lower_circuit: rupees(snapshot.lower_circuit_paise),
        upper_circuit: rupees(snapshot.upper_circuit_paise),
        tot_buy_quan: day.total_buy_quantity as i64,
        tot_sell_quan: day.total_sell_quantity as i64,
        low_52_weeks: rupees(snapshot.low_52_weeks_paise),
        high_52_weeks: rupees(snapshot.high_52_weeks_paise),
        depth: Depth {
            buy: snapshot.depth[..5].iter().map(level).collect(),
            sell: snapshot.depth[5..].iter().map(level).collect(),
        },
    }
}
