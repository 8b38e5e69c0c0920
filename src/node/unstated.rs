//! What a session is to have rows of and has none: rows wait for as long as their source may be late, and what waits is not known.

use crate::{
    calendar::Session,
    market::{Bucket, BucketState, Timestamp},
    store::{BucketStates, InstrumentRow},
};
use std::collections::BTreeMap;

/// A bucket has its rows so long after its end at the latest, whatever its source is late in real time.
const STATED_WITHIN_US: i64 = 600_000_000;

/// Contracts of an underlying that have no row of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unstated {
    pub underlying: String,
    pub bucket: Bucket,
    pub contracts: i64,
}

impl Unstated {
    /// Whether its rows should be there: what keeps them away is more than a late source. `silence_min_us`: that of the
    /// daemon's settings, by which a clock that runs fast has sources that are later.
    pub fn is_due(&self, silence_min_us: i64, now: Timestamp) -> bool {
        self.bucket.end().plus_us(stated_within_us(silence_min_us)) <= now
    }

    /// As a row of each that is missing.
    pub fn missing(self) -> BucketStates {
        let Unstated { underlying, bucket, contracts } = self;
        BucketStates { underlying, bucket, state: BucketState::Missing, contracts }
    }
}

/// See [`STATED_WITHIN_US`].
pub(super) fn stated_within_us(silence_min_us: i64) -> i64 {
    STATED_WITHIN_US + silence_min_us
}

/// What of a session's buckets that end until `until` has no row among `stated`, of the contracts that are to have them; in
/// the order of underlyings and time.
pub(super) fn unstated(
    session: &Session,
    until: Timestamp,
    contracts: &[InstrumentRow],
    stated: &[BucketStates],
) -> Vec<Unstated> {
    let mut lacking: BTreeMap<(&str, Bucket), i64> = BTreeMap::new();
    for row in contracts {
        let close = session.close_for(&row.contract);
        let over = session.buckets().take_while(|bucket| bucket.end() <= until && bucket.start() < close);
        for bucket in over {
            *lacking.entry((&row.contract.underlying, bucket)).or_default() += 1;
        }
    }
    for row in stated {
        if let Some(contracts) = lacking.get_mut(&(&*row.underlying, row.bucket)) {
            *contracts -= row.contracts;
        }
    }
    let lacking = lacking.into_iter().filter(|(_, contracts)| *contracts > 0);
    lacking
        .map(|((underlying, bucket), contracts)| Unstated {
            underlying: underlying.to_owned(),
            bucket,
            contracts,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calendar::Calendar,
        market::{Contract, Exchange, InstrumentId, OptionType, Price, TradingDate},
    };

    #[test]
    fn what_has_no_row_is_counted_bucket_by_bucket() {
        let date: TradingDate = "2026-01-30".parse().expect("a date");
        let session = Calendar::embedded().session(date).expect("a session");
        let contract = |number: u32| InstrumentRow {
            id: InstrumentId(number),
            contract: Contract::option(
                Exchange::Nse,
                "NIFTY",
                "2026-02-03".parse().expect("a date"),
                Price::from_e4(250_000_000 + i64::from(number) * 500_000),
                OptionType::Call,
            ),
            lot_size: 65,
            tick_size: Price::from_e4(500),
            first_seen: date,
            last_seen: date,
        };
        let contracts: Vec<InstrumentRow> = (1..=40).map(contract).collect();
        let first = Bucket::containing(session.open);
        let row = |bucket, state, contracts| BucketStates {
            underlying: "NIFTY".to_owned(),
            bucket,
            state,
            contracts,
        };
        // One that is not listed has a row of its own.
        let stated = [
            row(first, BucketState::Live, 30),
            row(first, BucketState::Unlisted, 10),
            row(first.next(), BucketState::Live, 36),
            row(first.next(), BucketState::Missing, 1),
        ];
        let third = first.next().next();
        let lacking = |until| {
            let found = unstated(&session, until, &contracts, &stated);
            found.into_iter().map(|found| (found.bucket, found.contracts)).collect::<Vec<_>>()
        };
        assert_eq!(lacking(first.end()), []);
        assert_eq!(lacking(third.end().plus_us(-1)), [(first.next(), 3)]);
        assert_eq!(lacking(third.end()), [(first.next(), 3), (third, 40)]);
        assert_eq!(lacking(session.close).len(), 124, "125 buckets, of which the first is whole");
        let waiting = Unstated { underlying: "NIFTY".to_owned(), bucket: first, contracts: 3 };
        let after = |us: i64| first.end().plus_us(us);
        assert!(
            !waiting.is_due(0, after(STATED_WITHIN_US - 1)) && waiting.is_due(0, after(STATED_WITHIN_US))
        );
        assert!(!waiting.is_due(60_000_000, after(STATED_WITHIN_US)), "the clock runs fast");
    }
}
