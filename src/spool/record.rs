//! What one entry of the log holds.

use super::{rules::DayRules, segment::BLOCK_BYTES};
use crate::{
    market::{Provider, Timestamp, TradingDate},
    wire::Source,
};
use std::collections::{BTreeMap, BTreeSet};

/// What bhavd itself writes into the log, because the engines' outcome depends on it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// The daemon came up: whatever feeds were up before are not any more, and nobody is forced.
    Started {
        version: String,
        /// Why its numbers do not follow those before, if they do not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skip: Option<Skip>,
    },
    /// Time has passed: buckets and candles that end before the record's receive time may close.
    Clock {
        /// By provider that is up: everything that had reached its feed by then is in the log. µs UTC.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        watched_until_us: BTreeMap<String, i64>,
        /// By provider: its parts that are down, for whoever lost the marks that said so.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        parts_down: BTreeMap<String, BTreeSet<String>>,
    },
    /// The provider watches everything it was asked to watch, but for the parts that are down.
    FeedUp { provider: String },
    /// Ends what was said of its parts too.
    FeedDown {
        provider: String,
        reason: String,
        /// The last instant at which the feed is known to have watched, µs UTC; the mark's own time if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<i64>,
    },
    /// The provider does not watch a part of what it was asked to watch: `part` is a chain record's context, such as
    /// `symbol=NIFTY&expiry=2026-02-03`; without an expiry it means all of the symbol's. Holds until the part's
    /// `PartUp`, until a `FeedDown` of its provider, or until the daemon came up. Said of a provider that is not up, it
    /// holds from its `FeedUp` on.
    PartDown {
        provider: String,
        part: String,
        reason: String,
        /// When the part was last answered, µs UTC; the mark's own time if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<i64>,
    },
    /// The part is watched again.
    PartUp { provider: String, part: String },
    /// The rules of the day, first of all at its head; further ones hold from there on.
    Rules { rules: DayRules },
    /// A stream's subscription was sent: what contracts say from here on counts as said on it.
    StreamUp { provider: String, stream: u8 },
    /// A stream is lost, or its subscription was refused.
    StreamDown {
        provider: String,
        stream: u8,
        reason: String,
        /// When it was last read to its end, µs UTC; the mark's own time if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<i64>,
    },
    /// The daemon was asked to end, and its feeds have ended. What is down stays so until the log says otherwise.
    Stopped,
    /// The machine's clock was set: receive times before and after this mark do not count alike. Changes no row.
    ClockSet {
        /// Negative for one that was set back, µs.
        by_us: i64,
    },
    /// An operator forced a provider, or leaves the choice to the order of preference. Holds until the next one, or until
    /// the daemon came up.
    Failover { to: Option<String> },
}

/// Why the log's numbers jump where a life of the daemon begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Skip {
    /// The store contained the log up to this record of that day, but the log ended before it.
    BehindStore { store_seq: u64, session: TradingDate },
    /// Records that a clock which was ahead received were set aside.
    SetAside { first_seq: u64, records: u64 },
}

impl Mark {
    pub fn started(version: impl Into<String>) -> Mark {
        Mark::Started { version: version.into(), skip: None }
    }

    pub fn feed_up(provider: Provider) -> Mark {
        Mark::FeedUp { provider: provider.name().to_owned() }
    }

    pub fn feed_down(provider: Provider, reason: impl Into<String>) -> Mark {
        Mark::FeedDown { provider: provider.name().to_owned(), reason: reason.into(), since_us: None }
    }

    pub fn stream_up(provider: Provider, stream: u8) -> Mark {
        Mark::StreamUp { provider: provider.name().to_owned(), stream }
    }

    pub fn stream_down(provider: Provider, stream: u8, reason: impl Into<String>) -> Mark {
        let (provider, reason) = (provider.name().to_owned(), reason.into());
        Mark::StreamDown { provider, stream, reason, since_us: None }
    }

    pub fn part_down(provider: Provider, part: impl Into<String>, reason: impl Into<String>) -> Mark {
        let (provider, part) = (provider.name().to_owned(), part.into());
        Mark::PartDown { provider, part, reason: reason.into(), since_us: None }
    }

    pub fn part_up(provider: Provider, part: impl Into<String>) -> Mark {
        Mark::PartUp { provider: provider.name().to_owned(), part: part.into() }
    }

    /// With the last instant at which the feed or part that is down is known to have watched; of two the earlier. Changes no
    /// other mark.
    pub fn since(mut self, since: Timestamp) -> Mark {
        if let Mark::FeedDown { since_us, .. }
        | Mark::PartDown { since_us, .. }
        | Mark::StreamDown { since_us, .. } = &mut self
        {
            *since_us = Some(since_us.map_or(since.as_us(), |us| us.min(since.as_us())));
        }
        self
    }

    /// `watched_until`: of each provider that is up.
    pub fn clock(watched_until: impl IntoIterator<Item = (Provider, Timestamp)>) -> Mark {
        let watched = watched_until.into_iter();
        Mark::Clock {
            watched_until_us: watched
                .map(|(provider, until)| (provider.name().to_owned(), until.as_us()))
                .collect(),
            parts_down: BTreeMap::new(),
        }
    }

    /// Adds parts that are down to a mark of time. Changes no other mark.
    pub fn with_parts_down(mut self, parts: impl IntoIterator<Item = (Provider, String)>) -> Mark {
        if let Mark::Clock { parts_down, .. } = &mut self {
            for (provider, part) in parts {
                parts_down.entry(provider.name().to_owned()).or_default().insert(part);
            }
        }
        self
    }

    pub fn failover(to: Option<Provider>) -> Mark {
        Mark::Failover { to: to.map(|provider| provider.name().to_owned()) }
    }
}

/// Frames received together, one after the other in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// From `start` on.
    bytes: Vec<u8>,
    start: usize,
    /// Counted from `start`.
    ends: Vec<u32>,
}

impl PartialEq for Frames {
    fn eq(&self, other: &Frames) -> bool {
        (self.bytes(), &self.ends) == (other.bytes(), &other.ends)
    }
}

impl Eq for Frames {}

impl Frames {
    pub fn one(frame: &[u8]) -> Frames {
        let mut frames = Frames::default();
        frames.push(frame);
        frames
    }

    /// Room for a batch of about this size, so that filling it copies each frame once.
    pub fn with_capacity(frames: usize, bytes: usize) -> Frames {
        Frames { bytes: Vec::with_capacity(bytes), start: 0, ends: Vec::with_capacity(frames) }
    }

    /// Appends a copy of `frame`. A batch is far below 4 GiB: feeds hand over what one drain of a socket brought.
    pub fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.byte_len() as u32);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn byte_len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Memory they hold, room that is not used included.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    pub fn clear(&mut self) {
        self.bytes.truncate(self.start);
        self.ends.clear();
    }

    /// All frames' bytes, without boundaries.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Room for `capacity` bytes that the log can write from past the operating system's cache: they begin where the
    /// buffer ends now, which is the start for [`Self::from_parts`].
    pub fn aligned_buffer(capacity: usize) -> Vec<u8> {
        let mut buffer: Vec<u8> = Vec::with_capacity(BLOCK_BYTES + capacity);
        buffer.resize(buffer.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES), 0);
        buffer
    }

    /// Frames that begin at `start`, from where their ends are counted. `None` unless the ends ascend and the last one is
    /// the end of `bytes`.
    pub fn from_parts(bytes: Vec<u8>, start: usize, ends: Vec<u32>) -> Option<Frames> {
        let byte_len = bytes.len().checked_sub(start)?;
        let fills = ends.last().map_or(byte_len == 0, |end| *end as usize == byte_len);
        (fills && ends.is_sorted()).then_some(Frames { bytes, start, ends })
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (bytes, mut start) = (self.bytes(), 0);
        self.ends.iter().map(move |&end| {
            let frame = &bytes[start..end as usize];
            start = end as usize;
            frame
        })
    }
}

impl From<Vec<u8>> for Frames {
    /// One frame, without a copy.
    fn from(frame: Vec<u8>) -> Frames {
        Frames { ends: vec![frame.len() as u32], start: 0, bytes: frame }
    }
}

/// What a feed hands over; the log gives it its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub source: Source,
    pub received_time: Timestamp,
    /// What the request asked for, where the body alone does not tell; `key=value&key=value`, mostly empty.
    pub context: String,
    pub frames: Frames,
}

impl NewRecord {
    /// With the number the log gave it.
    pub fn numbered(self, seq: u64) -> Record {
        let NewRecord { source, received_time, context, frames } = self;
        Record { seq, source, received_time, context, frames }
    }

    pub fn mark(received_time: Timestamp, mark: &Mark) -> NewRecord {
        let json = serde_json::to_vec(mark).expect("a mark has strings and numbers only");
        NewRecord { source: Source::MARK, received_time, context: String::new(), frames: Frames::one(&json) }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in the log: one more than the record before, across files and restarts. Starts at 1.
    pub seq: u64,
    pub source: Source,
    pub received_time: Timestamp,
    pub context: String,
    pub frames: Frames,
}

impl Record {
    /// Whether it belongs to a day's log: to the day on which it was received.
    pub fn is_of(&self, date: TradingDate) -> bool {
        self.received_time.date_ist() == date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_without_times_are_read_too() {
        let read = |json: &str| serde_json::from_str::<Mark>(json).expect("a mark");
        assert_eq!(read(r#"{"mark":"clock"}"#), Mark::clock([]));
        assert_eq!(read(r#"{"mark":"started","version":"x"}"#), Mark::started("x"));
        let down = r#"{"mark":"feed_down","provider":"nse","reason":"x"}"#;
        assert_eq!(read(down), Mark::feed_down(Provider::Nse, "x"));
    }

    #[test]
    fn a_mark_gives_back_what_it_was_made_of() {
        let at = Timestamp::from_us;
        for mark in [
            Mark::clock([(Provider::Nse, at(5)), (Provider::AngelOne, at(6))]),
            Mark::clock([]).with_parts_down([(Provider::Nse, "symbol=A".to_owned())]),
            Mark::feed_down(Provider::Nse, "x").since(at(7)).since(at(6)).since(at(8)),
            Mark::part_down(Provider::Nse, "symbol=A", "x").since(at(7)),
            Mark::part_up(Provider::Nse, "symbol=A"),
            Mark::stream_up(Provider::AngelOne, 2),
            Mark::stream_down(Provider::AngelOne, 2, "E1002").since(at(7)),
            Mark::ClockSet { by_us: -7 },
            Mark::started("1.2.3"),
            Mark::Started { version: String::new(), skip: Some(Skip::SetAside { first_seq: 5, records: 6 }) },
            Mark::Started {
                version: String::new(),
                skip: Some(Skip::BehindStore { store_seq: 7, session: TradingDate::MAX }),
            },
            Mark::Stopped,
            Mark::Rules { rules: DayRules { schema: 7, grace_us: 5, ..DayRules::default() } },
        ] {
            let json = serde_json::to_string(&mark).expect("JSON");
            assert_eq!(serde_json::from_str::<Mark>(&json).expect("a mark"), mark, "{json}");
        }
        let down = Mark::feed_down(Provider::Nse, "x").since(at(7)).since(at(6)).since(at(8));
        assert!(matches!(down, Mark::FeedDown { since_us: Some(6), .. }), "{down:?}");
    }
}
