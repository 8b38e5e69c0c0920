//! Rows through a day: a contract's buckets, an underlying's candles.

use super::{
    Style,
    chain::meaning,
    number::{NOTHING, grouped, hour_and_minute, or_nothing, price, signed},
    table::{Align, Grid},
};
use crate::control::{CandlesResponse, OpenInterestResponse, OpenInterestRow, RowState};
use std::collections::BTreeSet;

pub(super) fn open_interest(series: &OpenInterestResponse, style: Style) -> String {
    let mut text = format!("{}  {}\n\n", style.bold(&series.contract), series.date);
    if series.rows.is_empty() {
        text.push_str("no buckets\n");
        return text;
    }
    let mut heads = vec![
        ("bucket", Align::Left),
        ("OI", Align::Right),
        ("change", Align::Right),
        ("LTP", Align::Right),
        ("volume", Align::Right),
        ("state", Align::Left),
        ("provider", Align::Left),
    ];
    let bases: BTreeSet<&str> = series.rows.iter().map(base).filter(|base| *base != NOTHING).collect();
    let has_bases = bases.len() > 1 || bases.contains(NO_BASE);
    if has_bases {
        heads.insert(AFTER_CHANGE, ("against", Align::Left));
    }
    let mut grid = Grid::new(&heads, style);
    for row in &series.rows {
        let mut cells = vec![
            hour_and_minute(row.bucket),
            or_nothing(row.open_interest, grouped),
            or_nothing(row.open_interest_change, signed),
            or_nothing(row.last_price_e4, price),
            or_nothing(row.volume, grouped),
            state(row.state, row.revision),
            row.provider.clone().unwrap_or_else(|| NOTHING.to_owned()),
        ];
        if has_bases {
            cells.insert(AFTER_CHANGE, base(row).to_owned());
        }
        grid.row(cells);
    }
    text.push_str(&grid.finish());
    text
}

/// The place of the column that says what changes are against. It is shown where that is not the same for all.
const AFTER_CHANGE: usize = 3;
const NO_BASE: &str = "no base";

/// What a row's change is against.
fn base(row: &OpenInterestRow) -> &str {
    match (&row.oi_base, row.open_interest, row.open_interest_change) {
        (Some(base), ..) => base,
        (None, Some(_), None) => NO_BASE,
        // Nothing to compare, or a row of a store that had no bases yet.
        (None, ..) => NOTHING,
    }
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
        ("", Align::Left),
    ];
    let has_marks = candles.rows.iter().any(|row| row.resolve_required);
    let columns = if has_marks { heads.len() } else { heads.len() - 1 };
    let mut grid = Grid::new(&heads[..columns], style);
    for row in &candles.rows {
        let cells = [
            hour_and_minute(row.start),
            price(row.open_e4),
            price(row.high_e4),
            price(row.low_e4),
            price(row.close_e4),
            or_nothing(row.volume, grouped),
            row.provider.clone(),
            if row.resolve_required { "?" } else { "" }.to_owned(),
        ];
        grid.row(cells.into_iter().take(columns));
    }
    text.push_str(&grid.finish());
    if has_marks {
        text.push_str("\n? may lack something: an outage touched it, or its volume was corrected\n");
    }
    text
}
