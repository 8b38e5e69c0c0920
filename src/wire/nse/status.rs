//! `marketStatus`: which of NSE's markets are open.

use super::{
    WireError,
    error::from_json,
    field::{digits, format_date, parse_date},
};
use crate::market::{Price, TradingDate};
use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

/// The markets in the body's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketStatus {
    pub markets: Vec<MarketState>,
}

/// One entry. Texts are the website's own, empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketState {
    /// `Capital Market`, `Currency`, `Commodity`, `Debt`, `currencyfuture`; some entries have none.
    pub market: Option<String>,
    /// `Open`, `Closed` and others.
    pub status: String,
    /// The session the entry speaks of, and the time of day (IST, minutes) where it has one.
    pub trade_date: Option<TradingDate>,
    pub trade_time: Option<NaiveTime>,
    pub index: String,
    pub last: Option<Price>,
    pub message: String,
}

impl MarketState {
    pub fn is_open(&self) -> bool {
        self.status.eq_ignore_ascii_case("open")
    }
}

#[derive(Deserialize, Serialize)]
struct Body {
    #[serde(rename = "marketState")]
    states: Vec<StateFields>,
}

#[derive(Deserialize, Serialize)]
struct StateFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    market: Option<String>,
    #[serde(rename = "marketStatus", default)]
    status: Option<String>,
    #[serde(rename = "tradeDate", default)]
    trade_date: Option<String>,
    #[serde(default)]
    index: Option<String>,
    #[serde(default)]
    last: Last,
    #[serde(rename = "marketStatusMessage", default)]
    message: Option<String>,
}

/// A number, a number as text, or the empty text.
#[derive(Deserialize, Serialize, Default)]
#[serde(untagged)]
enum Last {
    Number(f64),
    Text(String),
    #[default]
    Nothing,
}

/// Decodes a body. A date or level that cannot be read is left out: the entry's status is what matters.
pub fn decode_status(body: &[u8]) -> Result<MarketStatus, WireError> {
    let Body { states } = from_json("market status", body)?;
    let markets = states.into_iter().map(|fields| {
        let trade = fields.trade_date.unwrap_or_default();
        let (date, time) = trade.split_once(' ').unwrap_or((&trade, ""));
        let trade_date = parse_date(date.as_bytes());
        MarketState {
            market: fields.market,
            status: fields.status.unwrap_or_default(),
            trade_date,
            trade_time: trade_date.and_then(|_| parse_time(time.as_bytes())),
            index: fields.index.unwrap_or_default(),
            last: match fields.last {
                Last::Number(rupees) => Price::from_rupees(rupees),
                Last::Text(text) => text.trim().parse().ok(),
                Last::Nothing => None,
            },
            message: fields.message.unwrap_or_default(),
        }
    });
    Ok(MarketStatus { markets: markets.collect() })
}

fn parse_time(text: &[u8]) -> Option<NaiveTime> {
    let (hour, minute) = (text.get(..2)?, text.get(2..)?.strip_prefix(b":")?);
    let minute = if minute.len() == 2 { digits(minute)? } else { return None };
    NaiveTime::from_hms_opt(digits(hour)?, minute, 0)
}

/// Writes a body that decodes to `status` again; seconds of a time are cut off, a time without a date is left out.
pub fn encode_status(status: &MarketStatus) -> Vec<u8> {
    let state = |state: &MarketState| StateFields {
        market: state.market.clone(),
        status: Some(state.status.clone()),
        trade_date: Some(match (state.trade_date, state.trade_time) {
            (Some(date), Some(time)) => format!("{} {}", format_date(date), time.format("%H:%M")),
            (Some(date), None) => format_date(date),
            (None, _) => String::new(),
        }),
        index: Some(state.index.clone()),
        last: state.last.map_or(Last::Text(String::new()), |price| Last::Number(price.as_rupees())),
        message: Some(state.message.clone()),
    };
    let body = Body { states: status.markets.iter().map(state).collect() };
    serde_json::to_vec(&body).expect("texts and finite numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    #[test]
    fn entries_may_lack_their_market_and_levels_may_be_texts() {
        let body = br#"{"marketState":[
            {"market":"Capital Market","marketStatus":"Closed","tradeDate":"11-Sep-2026 15:30","index":"NIFTY 50",
             "last":24150.5,"variation":1,"percentChange":0.1,"marketStatusMessage":"Market is Closed"},
            {"market":"Currency","marketStatus":"Open","tradeDate":"11-Sep-2026","index":"","last":""},
            {"marketStatus":"Open","last":"82.8850"}],"marketcap":{}}"#;
        let status = decode_status(body).expect("an answer");
        let capital = &status.markets[0];
        assert!(!capital.is_open());
        assert_eq!(capital.last, Some(Price::from_e4(241_505_000)));
        assert_eq!(capital.trade_time, NaiveTime::from_hms_opt(15, 30, 0));
        assert_eq!(status.markets[1].trade_date, NaiveDate::from_ymd_opt(2026, 9, 11));
        assert_eq!((status.markets[2].market.as_ref(), status.markets[2].is_open()), (None, true));
        assert_eq!(status.markets[2].last, Some(Price::from_e4(828_850)));
        assert!(decode_status(br#"{"marketState":5}"#).is_err());
    }

    fn state() -> impl Strategy<Value = MarketState> {
        let market = proptest::option::of(".{0,8}");
        let trade = proptest::option::of((0_u64..30_000, proptest::option::of(0_u32..1_440)));
        let last = proptest::option::of(0_i64..10_000_000_000);
        (market, ".{0,8}", trade, ".{0,8}", last, ".{0,8}").prop_map(
            |(market, status, trade, index, last, message)| MarketState {
                market,
                status,
                trade_date: trade.map(|(day, _)| NaiveDate::default() + chrono::Days::new(day)),
                trade_time: trade
                    .and_then(|(_, minute)| minute)
                    .and_then(|minute| NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0)),
                index,
                last: last.map(Price::from_e4),
                message,
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_is_the_identity(markets in proptest::collection::vec(state(), 0..6)) {
            let status = MarketStatus { markets };
            prop_assert_eq!(decode_status(&encode_status(&status)), Ok(status));
        }
    }
}
