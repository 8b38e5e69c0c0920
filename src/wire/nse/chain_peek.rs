//! What an option chain's body is about, without its values: for the feed, which checks an answer before it is recorded.

use super::{
    ChainContext, WireError,
    chain::{WHAT, mismatch},
    error::from_json,
    field::{DateField, InstantField},
};
use crate::market::{Timestamp, TradingDate};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// What a body is about, with no value of it decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedChain {
    pub timestamp: Timestamp,
    /// How many legs it has of each underlying and expiry; `None` where that cannot be told without decoding leg by leg.
    pub subjects: Option<BTreeMap<(String, TradingDate), usize>>,
    /// All that it lists of its underlying, without those that cannot be read; none where no leg tells the underlying.
    pub expiries: BTreeSet<TradingDate>,
}

impl PeekedChain {
    /// As [`Chain::mismatch`].
    pub fn mismatch(&self, requested: &ChainContext) -> Option<String> {
        let subjects = self.subjects.iter().flatten();
        mismatch(subjects.map(|((symbol, expiry), legs)| (symbol.as_str(), *expiry, *legs)), requested)
    }

    /// Whether it is a chain without a leg.
    pub fn is_empty(&self) -> bool {
        self.subjects.as_ref().is_some_and(BTreeMap::is_empty)
    }
}

/// What the body is about, with the body checked to be a whole chain's JSON.
///
/// # Errors
/// When the body as a whole is no option chain.
pub fn peek_chain(body: &[u8]) -> Result<PeekedChain, WireError> {
    #[derive(Deserialize)]
    struct LegNames<'a> {
        #[serde(borrow, default)]
        underlying: Option<Cow<'a, str>>,
        #[serde(rename = "expiryDate", default)]
        expiry: Option<DateField>,
    }
    #[derive(Deserialize)]
    struct RowNames<'a> {
        #[serde(rename = "expiryDate", alias = "expiryDates", default)]
        expiry: Option<DateField>,
        #[serde(rename = "CE", borrow, default)]
        call: Option<LegNames<'a>>,
        #[serde(rename = "PE", borrow, default)]
        put: Option<LegNames<'a>>,
    }
    #[derive(Deserialize)]
    struct Records<'a> {
        timestamp: InstantField,
        #[serde(rename = "expiryDates", borrow, default)]
        expiries: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Vec<RowNames<'a>>,
    }
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        records: Records<'a>,
    }
    let records = match from_json::<Body<'_>>(WHAT, body) {
        Ok(Body { records }) => records,
        // A leg that cannot be read is told where the rest is decoded.
        Err(WireError::Json { .. }) => {
            let unknown = |timestamp| PeekedChain { timestamp, subjects: None, expiries: BTreeSet::new() };
            return peek_timestamp(body).map(unknown);
        }
        Err(error) => return Err(error),
    };
    let mut subjects = BTreeMap::new();
    for row in records.data {
        for leg in [row.call, row.put].into_iter().flatten() {
            let (Some(underlying), Some(expiry)) = (leg.underlying, leg.expiry.or(row.expiry)) else {
                continue;
            };
            *subjects.entry((underlying, expiry.0)).or_insert(0) += 1;
        }
    }
    let expiries = records.expiries.filter(|_| !subjects.is_empty()).map(readable_dates).unwrap_or_default();
    let subjects =
        subjects.into_iter().map(|((underlying, expiry), legs)| ((underlying.into_owned(), expiry), legs));
    Ok(PeekedChain { timestamp: records.timestamp.0, subjects: Some(subjects.collect()), expiries })
}

/// Those of a list of dates that can be read; what cannot is told where the rest is decoded.
fn readable_dates(list: &RawValue) -> BTreeSet<TradingDate> {
    let dates = serde_json::from_str::<Vec<&RawValue>>(list.get()).unwrap_or_default();
    let read = |date: &RawValue| serde_json::from_str::<DateField>(date.get()).ok();
    dates.into_iter().filter_map(read).map(|date| date.0).collect()
}

/// The chain's own time, with the body checked to be a whole chain's JSON but no leg decoded.
pub fn peek_timestamp(body: &[u8]) -> Result<Timestamp, WireError> {
    #[derive(Deserialize)]
    struct Peeked {
        records: PeekedRecords,
    }
    #[derive(Deserialize)]
    struct PeekedRecords {
        timestamp: InstantField,
        #[serde(rename = "data")]
        _data: IgnoredAny,
    }
    from_json::<Peeked>(WHAT, body).map(|peeked| peeked.records.timestamp.0)
}
