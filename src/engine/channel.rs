//! The ways in which a provider's values arrive, and what each of them proves.
//!
//! A witness is of a contract: a provider proves what it said of a contract up to an instant, never that it is "up". How
//! far a value reaches depends on how it arrived:
//! - a packet of a *stream* proves its contract at its stamp, and from then on as long as the stream brings data, once the
//!   contract has spoken since the stream's subscription;
//! - the body of a *chain* proves the contracts that it contains at its stamp;
//! - the answer to a *quote* request proves its contracts up to the sending of the request, less the age that the source's
//!   copies have, since its stamps are those of the values' last change, and it may lie unread for any time.

use crate::market::{Delivery, Provider, Timestamp};

/// The exchange's clock may be ahead of ours by this much; a stamp further in the future is refused, because it
/// would shut out every true one after it.
pub const AHEAD_US_MAX: i64 = 120_000_000;

/// A stamp further ahead than this is taken only where its provider's other stamps are ahead too: clocks that are set over
/// the network differ by less.
pub(super) const AHEAD_DOUBTED_US: i64 = 10_000_000;

/// What a provider declares of one of its channels. The lateness is a rule of the day and stands in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelTraits {
    pub delivery: Delivery,
    /// How long after its end a bucket's row waits for the proof of its values; not less than the grace.
    pub lateness_us: i64,
    /// Two snapshots, or two packets of a stream, further apart in the session prove nothing of the time between them,
    /// unless nothing was traded. Of a stream that is lively the same is known sooner, by its pace.
    pub gap_max_us: i64,
    /// How old the values of an answer may be when its request is sent; of quotes.
    pub copy_age_us: i64,
}

/// One record's arrival by a channel. Made by the day, given back to it at the record's end.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub provider: Provider,
    pub received: Timestamp,
    pub(super) traits: ChannelTraits,
    /// Of the stream's subscription, or of the chain's polls without a break.
    pub(super) epoch: u16,
    /// Of a chain's body.
    pub(super) chain: u32,
    /// The newest instant up to which this record shows that the stream brings data, µs.
    pub(super) live_us: i64,
    /// Of a chain's body.
    pub(super) stamp: Timestamp,
    /// Of answers: up to when they prove what they say.
    pub(super) proved: Timestamp,
}

impl Arrival {
    /// Which shows nothing yet.
    pub(super) fn new(provider: Provider, traits: ChannelTraits, received: Timestamp) -> Arrival {
        let (stamp, proved) = (Timestamp::NEVER, Timestamp::NEVER);
        Arrival { provider, received, traits, epoch: 0, chain: u32::MAX, live_us: i64::MIN, stamp, proved }
    }
}
