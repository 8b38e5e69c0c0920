//! The option chain: calls to the left, puts to the right, strikes between them.

use super::{
    Style,
    number::{NOTHING, date_and_time, grouped, or_nothing, price, signed, strike},
    table::{Align, Grid},
};
use crate::control::{ChainResponse, ChainRow, ChainSide, RowState};

pub(super) fn chain(chain: &ChainResponse, style: Style) -> String {
    let level = chain.level_e4.map_or_else(|| "level not known".to_owned(), price);
    let kind = if chain.live { "latest" } else { "at" };
    let providers = if chain.providers.is_empty() { "nobody".to_owned() } else { chain.providers.join(", ") };
    let mut text = format!(
        "{}  {level}  expiry {}  {kind} {}  from {providers}\n",
        style.bold(&chain.underlying),
        chain.expiry,
        date_and_time(chain.time),
    );
    let others: Vec<String> =
        chain.expiries.iter().filter(|expiry| **expiry != chain.expiry).map(ToString::to_string).collect();
    if !others.is_empty() {
        text.push_str(&format!("other expiries: {}\n", others.join(", ")));
    }
    if chain.rows.is_empty() {
        text.push_str("\nno strikes\n");
        return text;
    }
    text.push('\n');
    text.push_str(&rows(chain, style));
    text.push_str(&totals(&chain.rows));
    text.push_str(&legend(chain));
    text
}

fn rows(chain: &ChainResponse, style: Style) -> String {
    let heads = [
        ("", Align::Left),
        ("CE OI", Align::Right),
        ("change", Align::Right),
        ("volume", Align::Right),
        ("LTP", Align::Right),
        ("strike", Align::Middle),
        ("LTP", Align::Right),
        ("volume", Align::Right),
        ("change", Align::Right),
        ("PE OI", Align::Right),
        ("", Align::Left),
    ];
    let money_e4 = chain.at_the_money_e4();
    let mut grid = Grid::new(&heads, style);
    for row in &chain.rows {
        let [call_oi, call_change, call_volume, call_price, call_mark] = side(row.call.as_ref());
        let [put_oi, put_change, put_volume, put_price, put_mark] = side(row.put.as_ref());
        let at_the_money = money_e4 == Some(row.strike_e4);
        let strike = strike(row.strike_e4);
        let strike = if at_the_money { format!("> {strike} <") } else { strike };
        let cells = [
            call_mark,
            call_oi,
            call_change,
            call_volume,
            call_price,
            strike,
            put_price,
            put_volume,
            put_change,
            put_oi,
            put_mark,
        ];
        if at_the_money { grid.bold_row(cells) } else { grid.row(cells) }
    }
    grid.finish()
}

/// Open interest, change, volume, last price, mark.
fn side(side: Option<&ChainSide>) -> [String; 5] {
    let Some(side) = side else {
        return [NOTHING, NOTHING, NOTHING, NOTHING, ""].map(str::to_owned);
    };
    [
        or_nothing(side.open_interest, grouped),
        or_nothing(side.open_interest_change, signed),
        or_nothing(side.volume, grouped),
        or_nothing(side.last_price_e4, price),
        mark(side.state).to_owned(),
    ]
}

pub(super) const fn mark(state: RowState) -> &'static str {
    match state {
        RowState::Live => "",
        RowState::Carried => "~",
        RowState::Backfilled => "b",
        RowState::Missing => "?",
        RowState::Unlisted => "-",
    }
}

pub(super) const fn meaning(state: RowState) -> &'static str {
    match state {
        RowState::Live => "observed",
        RowState::Carried => "unchanged in the bucket",
        RowState::Backfilled => "learned afterwards",
        RowState::Missing => "not known",
        RowState::Unlisted => "not listed yet",
    }
}

/// Open interest of the rows summed on each side, and puts to calls; what is not known is in neither sum.
fn totals(rows: &[ChainRow]) -> String {
    type Side = fn(&ChainRow) -> Option<&ChainSide>;
    let sides = |side: Side| rows.iter().filter_map(side);
    let known = |side: &&ChainSide| side.state != RowState::Missing && side.open_interest.is_some();
    let sum = |side: Side| -> i64 {
        sides(side).filter(known).filter_map(|side| side.open_interest).fold(0, i64::saturating_add)
    };
    let is_unknown = |side: &&ChainSide| side.state != RowState::Unlisted && !known(side);
    let unknown = |side: Side| sides(side).filter(is_unknown).count();
    let (call, put): (Side, Side) = (|row| row.call.as_ref(), |row| row.put.as_ref());
    let (calls, puts) = (sum(call), sum(put));
    let ratio = if calls > 0 { format!("  PE/CE {:.2}", puts as f64 / calls as f64) } else { String::new() };
    let without = match unknown(call) + unknown(put) {
        0 => String::new(),
        1 => "  without 1 contract that is not known".to_owned(),
        count => format!("  without {count} contracts that are not known"),
    };
    format!("\nOI of these strikes  CE {}  PE {}{ratio}{without}\n", grouped(calls), grouped(puts))
}

fn legend(chain: &ChainResponse) -> String {
    let sides = || chain.rows.iter().flat_map(|row| [row.call.as_ref(), row.put.as_ref()]).flatten();
    let shown = |state| sides().any(|side| side.state == state);
    let states = [RowState::Carried, RowState::Backfilled, RowState::Missing, RowState::Unlisted];
    let marks: Vec<String> = states
        .into_iter()
        .filter(|state| shown(*state))
        .map(|state| match state {
            RowState::Missing if chain.live => format!("{} seen last, not known now", mark(state)),
            state => format!("{} {}", mark(state), meaning(state)),
        })
        .collect();
    if marks.is_empty() { String::new() } else { format!("{}\n", marks.join("  ")) }
}
