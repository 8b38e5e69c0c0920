//! `historical/v1/getCandleData`: bars of one instrument. There is no open interest in them.

use super::{
    WireError, bounds, envelope, json,
    segment::{as_digits, as_exchange},
};
use crate::market::{Bar, CandleInterval, Price, ProviderToken, Segment, Timestamp};
use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Serialize, ser::SerializeTuple};
use std::borrow::Cow;

const WHAT: &str = "candle answer";
const BODY_MAX_BYTES: usize = 8 << 20;

/// A request for the bars that start within `from` to `to`, both whole minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleRequest {
    pub token: ProviderToken,
    pub interval: CandleInterval,
    pub from: Timestamp,
    pub to: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct WireRequest {
    #[serde(with = "as_exchange")]
    exchange: Segment,
    #[serde(with = "as_digits", rename = "symboltoken")]
    symbol_token: u32,
    #[serde(with = "as_interval")]
    interval: CandleInterval,
    #[serde(with = "as_minute", rename = "fromdate")]
    from_date: Timestamp,
    #[serde(with = "as_minute", rename = "todate")]
    to_date: Timestamp,
}

impl CandleRequest {
    /// What Angel One calls an interval.
    pub const fn interval_name(interval: CandleInterval) -> &'static str {
        match interval {
            CandleInterval::ThreeMinutes => "THREE_MINUTE",
            CandleInterval::FiveMinutes => "FIVE_MINUTE",
            CandleInterval::Day => "ONE_DAY",
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        json::encode(&WireRequest {
            exchange: self.token.segment,
            symbol_token: self.token.token,
            interval: self.interval,
            from_date: self.from,
            to_date: self.to,
        })
    }

    pub fn decode(body: &[u8]) -> Result<CandleRequest, WireError> {
        let wire: WireRequest = json::decode("candle request", body, BODY_MAX_BYTES)?;
        Ok(CandleRequest {
            token: ProviderToken { segment: wire.exchange, token: wire.symbol_token },
            interval: wire.interval,
            from: wire.from_date,
            to: wire.to_date,
        })
    }
}

mod as_interval {
    use super::{CandleInterval, CandleRequest};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(interval: &CandleInterval, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(CandleRequest::interval_name(*interval))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CandleInterval, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        [CandleInterval::ThreeMinutes, CandleInterval::FiveMinutes, CandleInterval::Day]
            .into_iter()
            .find(|interval| CandleRequest::interval_name(*interval) == name)
            .ok_or_else(|| D::Error::custom(format_args!("unsupported interval {name:?}")))
    }
}

/// `YYYY-MM-DD HH:MM` in IST.
mod as_minute {
    use super::{NaiveDateTime, Timestamp};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    const FORMAT: &str = "%Y-%m-%d %H:%M";

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.to_ist().format(FORMAT))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        NaiveDateTime::parse_from_str(&text, FORMAT)
            .ok()
            .and_then(|local| super::bounds::time(Timestamp::from_ist(local)))
            .ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a time like 2026-01-30 09:15")))
    }
}

/// A bar as a row of an answer writes it.
struct AsRow<'a>(&'a Bar);

impl Serialize for AsRow<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bar = self.0;
        let mut row = serializer.serialize_tuple(6)?;
        row.serialize_element(&bar.start.to_ist().format("%Y-%m-%dT%H:%M:%S+05:30").to_string())?;
        for price in [bar.open, bar.high, bar.low, bar.close] {
            row.serialize_element(&price.as_rupees())?;
        }
        row.serialize_element(&bar.volume)?;
        row.end()
    }
}

#[derive(Deserialize)]
struct WireBar<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(with = "json::as_rupees")] Price,
    #[serde(with = "json::as_rupees")] Price,
    #[serde(with = "json::as_rupees")] Price,
    #[serde(with = "json::as_rupees")] Price,
    #[serde(deserialize_with = "json::whole")] i64,
);

/// The bars of an answer, in the answer's order. Nothing (`null`) is no bars. A refused request is
/// [`WireError::Refused`]; a bar that cannot be spoils the answer.
pub fn decode_candles(body: &[u8]) -> Result<Vec<Bar>, WireError> {
    let rows: Option<Vec<WireBar>> = envelope::decode(WHAT, body, BODY_MAX_BYTES)?;
    rows.unwrap_or_default().iter().enumerate().map(|(index, row)| bar(index, row)).collect()
}

fn bar(index: usize, row: &WireBar) -> Result<Bar, WireError> {
    let WireBar(start, open, high, low, close, volume) = row;
    let path = |field: &str| format!("data[{index}].{field}");
    let time = DateTime::parse_from_rfc3339(start).ok();
    let time = time.and_then(|time| bounds::time(Timestamp::from(time.to_utc())));
    let time = time.ok_or_else(|| json::implausible(WHAT, &path("time"), start))?;
    for (field, price) in [("open", open), ("high", high), ("low", low), ("close", close)] {
        if bounds::price(*price).is_none() || price < low || price > high {
            return Err(json::implausible(WHAT, &path(field), price));
        }
    }
    let volume = bounds::quantity(*volume).ok_or_else(|| json::implausible(WHAT, &path("volume"), volume))?;
    Ok(Bar { start: time, open: *open, high: *high, low: *low, close: *close, volume })
}

pub fn encode_candles(bars: &[Bar]) -> Vec<u8> {
    envelope::encode(&bars.iter().map(AsRow).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn answers_read_what_they_write(
            rows in proptest::collection::vec(
                (20_000_000_i64..60_000_000, proptest::array::uniform4(0..10_000_000_i64), 0..1_000_000_i64),
                0..20,
            ),
        ) {
            let bars: Vec<Bar> = rows
                .into_iter()
                .map(|(minute, mut paise, volume)| {
                    paise.sort_unstable();
                    let [low, open, close, high] = paise.map(|paise| Price::from_e4(paise * 100));
                    let start = Timestamp::from_us(minute * 60_000_000);
                    Bar { start, open, high, low, close, volume }
                })
                .collect();
            prop_assert_eq!(decode_candles(&encode_candles(&bars)), Ok(bars));
        }

        #[test]
        fn requests_read_what_they_write(
            token in any::<u32>(), from in 20_000_000_i64..60_000_000, span in 0..10_000_i64,
        ) {
            let request = CandleRequest {
                token: ProviderToken { segment: Segment::NseCash, token },
                interval: CandleInterval::ThreeMinutes,
                from: Timestamp::from_us(from * 60_000_000),
                to: Timestamp::from_us((from + span) * 60_000_000),
            };
            prop_assert_eq!(CandleRequest::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn a_bar_that_cannot_be_is_refused() {
        let answer = |row: &str| format!(r#"{{"status":true,"message":"","data":[{row}]}}"#).into_bytes();
        let good = r#"["2026-01-30T09:15:00+05:30",1.0,2.0,0.5,1.5,0]"#;
        let bars = decode_candles(&answer(good)).expect("a bar");
        assert_eq!(bars[0].start.to_string(), "2026-01-30 09:15:00 IST");
        for (from, to) in [("2.0", "0.1"), ("0.5", "-0.5"), ("+05:30", ""), (",0]", ",-1]"), (",0]", "]")] {
            let row = good.replacen(from, to, 1);
            assert!(decode_candles(&answer(&row)).is_err(), "{row}");
        }
        assert_eq!(decode_candles(br#"{"status":true,"data":null}"#), Ok(vec![]));
    }
}
