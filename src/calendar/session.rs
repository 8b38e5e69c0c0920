//! One trading session.

use crate::market::{Bucket, Contract, Timestamp, TradingDate, is_index_underlying};

/// When a date's session runs. Half-open: the open belongs to it, the close does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub date: TradingDate,
    pub open: Timestamp,
    pub close: Timestamp,
    /// Where index contracts that expire on the date stop before the others.
    pub expiring_index_close: Option<Timestamp>,
}

impl Session {
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.open <= instant && instant < self.close
    }

    /// When trading in `contract` ends.
    pub fn close_for(&self, contract: &Contract) -> Timestamp {
        let expires = contract.expiry() == Some(self.date) && is_index_underlying(&contract.underlying);
        self.expiring_index_close.filter(|_| expires).unwrap_or(self.close)
    }

    /// The buckets from the open to the close, in order; the last one may reach beyond the close.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + use<> {
        let close = self.close;
        let first = Some(Bucket::containing(self.open)).filter(|first| first.start() < close);
        std::iter::successors(first, move |bucket| Some(bucket.next()).filter(|next| next.start() < close))
    }
}
