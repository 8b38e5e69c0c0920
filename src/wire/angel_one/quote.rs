//! `market/v1/quote` in mode FULL: up to 50 instruments an answer.

use super::{
    WireError, bounds, envelope, exchange_of, json,
    segment::{as_digits, as_exchange, token_of},
    stream::is_traded_today,
};
use crate::market::{Price, ProviderToken, Quote, Segment, Timestamp, Told};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize, ser::SerializeMap};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeSet, fmt};

/// Tokens a request may name, over all exchanges (Angel One SmartAPI documentation).
pub const QUOTE_TOKENS_MAX: usize = 50;

const WHAT: &str = "quote answer";
/// Fifty rows are under 80,000 bytes.
const BODY_MAX_BYTES: usize = 1 << 20;

/// Body of a request in mode FULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteRequest {
    /// At most [`QUOTE_TOKENS_MAX`]; decoding gives them ordered by segment.
    pub tokens: Vec<ProviderToken>,
}

/// What the log keeps beside an answer: when the request was sent, and what it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuoteContext {
    /// The answer's values are not older than this, but for the age of the server's copies. `None`: the log does not say.
    pub sent: Option<Timestamp>,
    pub tokens: BTreeSet<ProviderToken>,
}

impl QuoteContext {
    /// Any text; what it does not say is left out.
    pub fn parse(context: &str) -> QuoteContext {
        let value = |key: &str| {
            context.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        let token = |pair: &str| {
            let (segment, token) = pair.split_once(':')?;
            let segment = Segment::from_code(segment.parse().ok()?)?;
            Some(ProviderToken { segment, token: token.parse().ok()? })
        };
        QuoteContext {
            sent: value("sent_us").parse().ok().map(Timestamp::from_us),
            tokens: value("tokens").split(',').filter_map(token).collect(),
        }
    }
}

impl fmt::Display for QuoteContext {
    /// `sent_us=1769744700000000&tokens=2:35001,2:35002`: µs UTC, segment and token of each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.tokens.iter().map(|token| format!("{}:{}", token.segment.code(), token.token));
        let tokens = pairs.collect::<Vec<_>>().join(",");
        match self.sent {
            Some(sent) => write!(f, "sent_us={}&tokens={tokens}", sent.as_us()),
            None => write!(f, "tokens={tokens}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRequest<'a> {
    mode: &'a str,
    #[serde(borrow, rename = "exchangeTokens")]
    exchange_tokens: WireTokens<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "UPPERCASE", default)]
#[derive(Default)]
struct WireTokens<'a> {
    #[serde(borrow)]
    nse: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    nfo: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    bse: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    bfo: Vec<Cow<'a, str>>,
}

struct TokensBySegment<'a>(&'a [ProviderToken]);

impl Serialize for TokensBySegment<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for segment in Segment::ALL {
            let of_segment = self.0.iter().filter(|token| token.segment == segment);
            let digits: Vec<String> = of_segment.map(|token| token.token.to_string()).collect();
            if !digits.is_empty() {
                map.serialize_entry(exchange_of(segment), &digits)?;
            }
        }
        map.end()
    }
}

impl QuoteRequest {
    /// The requests that ask for `tokens`, each within the limit.
    pub fn split(tokens: &[ProviderToken]) -> impl Iterator<Item = QuoteRequest> {
        tokens.chunks(QUOTE_TOKENS_MAX).map(|chunk| QuoteRequest { tokens: chunk.to_vec() })
    }

    pub fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            mode: &'static str,
            exchange_tokens: TokensBySegment<'a>,
        }
        json::encode(&Body { mode: "FULL", exchange_tokens: TokensBySegment(&self.tokens) })
    }

    /// Other modes, other exchanges and more tokens than allowed are errors.
    pub fn decode(body: &[u8]) -> Result<QuoteRequest, WireError> {
        const WHAT: &str = "quote request";
        let wrong = |field, reason| WireError::Field { what: WHAT, offset: 0, field, reason };
        let wire: WireRequest = json::decode(WHAT, body, BODY_MAX_BYTES)?;
        if wire.mode != "FULL" {
            return Err(wrong("mode", format!("{:?} is not FULL", wire.mode)));
        }
        let by_segment = [
            (Segment::NseCash, wire.exchange_tokens.nse),
            (Segment::NseFo, wire.exchange_tokens.nfo),
            (Segment::BseCash, wire.exchange_tokens.bse),
            (Segment::BseFo, wire.exchange_tokens.bfo),
        ];
        let mut tokens = Vec::new();
        for (segment, digits) in by_segment {
            for digits in digits {
                let token = token_of(&digits);
                let token =
                    token.ok_or_else(|| wrong("exchangeTokens", format!("{digits:?} is not a token")))?;
                tokens.push(ProviderToken { segment, token });
            }
        }
        if tokens.len() > QUOTE_TOKENS_MAX {
            return Err(wrong("exchangeTokens", format!("{} tokens, at most 50", tokens.len())));
        }
        Ok(QuoteRequest { tokens })
    }
}

/// One row of `fetched`. Prices are rupees on the wire, quantities units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FullQuote {
    #[serde(with = "as_exchange")]
    pub exchange: Segment,
    pub trading_symbol: String,
    #[serde(with = "as_digits")]
    pub symbol_token: u32,
    #[serde(with = "json::as_rupees")]
    pub ltp: Price,
    #[serde(with = "json::as_rupees", default)]
    pub open: Price,
    #[serde(with = "json::as_rupees", default)]
    pub high: Price,
    #[serde(with = "json::as_rupees", default)]
    pub low: Price,
    /// Of the previous day.
    #[serde(with = "json::as_rupees", default)]
    pub close: Price,
    #[serde(deserialize_with = "json::whole", default)]
    pub last_trade_qty: i64,
    /// When the exchange sent the values; whole seconds, IST on the wire.
    #[serde(with = "as_feed_time")]
    pub exch_feed_time: Timestamp,
    #[serde(with = "as_feed_time", default)]
    pub exch_trade_time: Timestamp,
    #[serde(default)]
    pub net_change: f64,
    #[serde(default)]
    pub percent_change: f64,
    #[serde(with = "json::as_rupees", default)]
    pub avg_price: Price,
    #[serde(deserialize_with = "json::whole")]
    pub trade_volume: i64,
    /// Meaningless on cash segments.
    #[serde(deserialize_with = "json::whole")]
    pub opn_interest: i64,
    #[serde(with = "json::as_rupees", default)]
    pub lower_circuit: Price,
    #[serde(with = "json::as_rupees", default)]
    pub upper_circuit: Price,
    #[serde(deserialize_with = "json::whole", default)]
    pub tot_buy_quan: i64,
    #[serde(deserialize_with = "json::whole", default)]
    pub tot_sell_quan: i64,
    #[serde(rename = "52WeekLow", with = "json::as_rupees", default)]
    pub low_52_weeks: Price,
    #[serde(rename = "52WeekHigh", with = "json::as_rupees", default)]
    pub high_52_weeks: Price,
    #[serde(default)]
    pub depth: Depth,
}

/// Best five levels a side, best first; unused ones are zero or absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    #[serde(default)]
    pub buy: Vec<DepthLevel>,
    #[serde(default)]
    pub sell: Vec<DepthLevel>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthLevel {
    #[serde(with = "json::as_rupees")]
    pub price: Price,
    #[serde(deserialize_with = "json::whole")]
    pub quantity: i64,
    #[serde(deserialize_with = "json::whole", default)]
    pub orders: i64,
}

/// A token the answer has no values for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Unfetched {
    pub exchange: String,
    pub symbol_token: String,
    pub message: String,
    pub error_code: String,
}

/// `DD-Mon-YYYY HH:MM:SS` in IST.
mod as_feed_time {
    use super::{NaiveDateTime, Timestamp};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    const FORMAT: &str = "%d-%b-%Y %H:%M:%S";

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.to_ist().format(FORMAT))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        NaiveDateTime::parse_from_str(&text, FORMAT)
            .map(Timestamp::from_ist)
            .map_err(|_| D::Error::custom(format_args!("{text:?} is not a time like 21-Jun-2023 10:46:10")))
    }
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    fetched: Vec<&'a RawValue>,
    #[serde(default)]
    unfetched: Vec<Unfetched>,
}

/// A row of an answer in bhavd's units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedRow {
    pub token: ProviderToken,
    /// Of the contract that the row is about; empty where it does not say.
    pub symbol: String,
    pub quote: Quote,
}

/// An answer's rows in bhavd's units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuoteBody {
    pub quotes: Vec<QuotedRow>,
    pub unfetched: Vec<Unfetched>,
    /// Rows that could not be read; the others of the answer are still good.
    pub malformed: Vec<WireError>,
}

impl FullQuote {
    pub const fn token(&self) -> ProviderToken {
        ProviderToken { segment: self.exchange, token: self.symbol_token }
    }

    /// The row in bhavd's units; values that cannot be are errors. Open interest only on F&O segments, where price and volume of
    /// a trade of another day are not told, as in packets.
    pub fn quote(&self) -> Result<Quote, WireError> {
        let price = |path: &str, price: Price| {
            bounds::price(price).ok_or_else(|| json::implausible(WHAT, path, price))
        };
        let units = |path: &str, units: i64| {
            bounds::quantity(units).ok_or_else(|| json::implausible(WHAT, path, units))
        };
        let best = |path: &str, levels: &[DepthLevel]| {
            levels.iter().find(|level| level.price != Price::ZERO).map(|level| price(path, level.price))
        };
        let time = self.exch_feed_time;
        let event_time = bounds::time(time).ok_or_else(|| json::implausible(WHAT, "exchFeedTime", time))?;
        let has_open_interest = matches!(self.exchange, Segment::NseFo | Segment::BseFo);
        let open_interest =
            if has_open_interest { Some(units("opnInterest", self.opn_interest)?) } else { None };
        let is_of_today =
            !has_open_interest || is_traded_today(self.exch_trade_time.as_us() / 1_000_000, event_time);
        let last_price = if is_of_today { price("ltp", self.ltp)? } else { Price::ZERO };
        Ok(Quote {
            event_time,
            last_price: Told::zero_is_nothing(last_price),
            open_interest,
            volume: Some(units("tradeVolume", self.trade_volume)?).filter(|_| is_of_today),
            bid: best("depth.buy", &self.depth.buy).transpose()?.into(),
            ask: best("depth.sell", &self.depth.sell).transpose()?.into(),
            ..Quote::default()
        })
    }
}

/// The rows of an answer in bhavd's units. A refused request is [`WireError::Refused`].
pub fn decode_quotes(body: &[u8]) -> Result<QuoteBody, WireError> {
    let data = rows(body)?;
    let mut decoded = QuoteBody { unfetched: data.unfetched, ..QuoteBody::default() };
    for raw in data.fetched {
        let row = json::decode::<FullQuote>(WHAT, raw.get().as_bytes(), BODY_MAX_BYTES);
        let quoted = row.and_then(|row| {
            let (token, quote) = (row.token(), row.quote()?);
            Ok(QuotedRow { token, symbol: row.trading_symbol, quote })
        });
        match quoted {
            Ok(quoted) => decoded.quotes.push(quoted),
            Err(error) => decoded.malformed.push(error),
        }
    }
    Ok(decoded)
}

/// The rows of an answer with every field; one bad row spoils all.
pub fn decode_full_quotes(body: &[u8]) -> Result<(Vec<FullQuote>, Vec<Unfetched>), WireError> {
    let data = rows(body)?;
    let decode = |raw: &&RawValue| json::decode(WHAT, raw.get().as_bytes(), BODY_MAX_BYTES);
    let fetched = data.fetched.iter().map(decode).collect::<Result<_, _>>()?;
    Ok((fetched, data.unfetched))
}

fn rows(body: &[u8]) -> Result<Data<'_>, WireError> {
    envelope::decode(WHAT, body, BODY_MAX_BYTES)
}

pub fn encode_full_quotes(fetched: &[FullQuote], unfetched: &[Unfetched]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        fetched: &'a [FullQuote],
        unfetched: &'a [Unfetched],
    }
    envelope::encode(&Body { fetched, unfetched })
}

#[cfg(test)]
mod tests;
