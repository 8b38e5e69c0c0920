//! What changed: the delta log, and the lines of a watch.

use super::{
    Style,
    number::{grouped, grouped_count, hour_and_minute, price, signed, time_of_day},
    table::{Align, Grid},
};
use crate::control::{DeltasResponse, Update};

pub(super) fn deltas(deltas: &DeltasResponse, style: Style) -> String {
    if deltas.rows.is_empty() {
        return format!("{}: no change of open interest\n", deltas.date);
    }
    let heads = [
        ("time", Align::Left),
        ("contract", Align::Left),
        ("OI before", Align::Right),
        ("OI after", Align::Right),
        ("delta", Align::Right),
        ("provider", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for row in &deltas.rows {
        grid.row([
            time_of_day(row.event_time),
            row.contract.clone(),
            grouped(row.old_open_interest),
            grouped(row.new_open_interest),
            signed(row.delta),
            row.provider.clone(),
        ]);
    }
    let more = if deltas.truncated { "earlier ones are left out; see --limit\n" } else { "" };
    format!("{}, newest first\n\n{}{more}", deltas.date, grid.finish())
}

pub(super) fn update(update: &Update, style: Style) -> String {
    match update {
        Update::Delta { contract, event_time, new_open_interest, delta, last_price_e4, provider, .. } => {
            let change = signed(*delta);
            let change = if *delta < 0 { style.bad(&change) } else { style.good(&change) };
            let last_price = last_price_e4.map(|last_price_e4| format!("  at {}", price(last_price_e4)));
            format!(
                "{}  {contract}  OI {change} to {}{}  {provider}",
                time_of_day(*event_time),
                grouped(*new_open_interest),
                last_price.unwrap_or_default(),
            )
        }
        Update::Bucket {
            underlying,
            bucket,
            level_e4,
            call_open_interest,
            put_open_interest,
            live,
            carried,
            missing,
        } => {
            let level = level_e4.map(|level_e4| format!(" at {}", price(level_e4)));
            format!(
                "{}  {}{}  bucket closed: CE OI {}  PE OI {}  ({live} observed, {carried} unchanged, {missing} not known)",
                hour_and_minute(*bucket),
                style.bold(underlying),
                level.unwrap_or_default(),
                grouped(*call_open_interest),
                grouped(*put_open_interest),
            )
        }
        Update::Feed { time, provider, state, reason } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let state = if state == "up" { style.good(state) } else { style.bad(state) };
            format!("{}  feed {provider} is {state}{reason}", time_of_day(*time))
        }
        Update::Lost { count } => {
            let lost = format!("{} updates left out: this reader is too slow", grouped_count(*count));
            style.bad(&lost)
        }
    }
}
