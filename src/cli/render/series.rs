//! Rows through a day: a contract's buckets, an underlying's candles.

use super::{
    Style,
    chain::meaning,
    number::{NOTHING, grouped, hour_and_minute, or_nothing, price, signed},
    table::{Align, Grid},
};
use crate::control::{CandlesResponse, OpenInterestResponse, RowState};

pub(super) fn open_interest(series: &OpenInterestResponse, style: Style) -> String {
    let mut text = format!("{}  {}\n\n", style.bold(&series.contract), series.date);
    if series.rows.is_empty() {
        text.push_str("no buckets\n");
        return text;
    }
    let heads = [
        ("bucket", Align::Left),
        ("OI", Align::Right),
        ("change", Align::Right),
        ("LTP", Align::Right),
        ("volume", Align::Right),
        ("state", Align::Left),
        ("provider", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for row in &series.rows {
        grid.row([
            hour_and_minute(row.bucket),
            or_nothing(row.open_interest, grouped),
            or_nothing(row.open_interest_change, signed),
            or_nothing(row.last_price_e4, price),
            or_nothing(row.volume, grouped),
            state(row.state, row.revision),
            row.provider.clone().unwrap_or_else(|| NOTHING.to_owned()),
        ]);
    }
    text.push_str(&grid.finish());
    text
}

/// The state in a word or two, and how often the row was corrected.
fn state(state: RowState, revision: u32) -> String {
    match revision {
        0 => meaning(state).to_owned(),
        _ => format!("{}, revision {revision}", meaning(state)),
    }
}

pub(super) fn candles(candles: &CandlesResponse, style: Style) -> String {
    let length = match candles.interval_minutes {
        1_440 => "day".to_owned(),
        minutes => format!("{minutes} min"),
    };
    let mut text = format!("{}  {}  {length}\n\n", style.bold(&candles.symbol), candles.date);
    if candles.rows.is_empty() {
        text.push_str("no candles\n");
        return text;
    }
    let heads = [
        ("start", Align::Left),
        ("open", Align::Right),
        ("high", Align::Right),
        ("low", Align::Right),
        ("close", Align::Right),
        ("volume", Align::Right),
        ("provider", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for row in &candles.rows {
        grid.row([
            hour_and_minute(row.start),
            price(row.open_e4),
            price(row.high_e4),
            price(row.low_e4),
            price(row.close_e4),
            grouped(row.volume),
            row.provider.clone(),
        ]);
    }
    text.push_str(&grid.finish());
    text
}
