//! The machine itself: which record means what, and when a day begins.

use super::{
    catalog::Catalog, chains::ChainTable, counters::PipelineCounters, gaps::GapTracker,
    token_table::TokenTable,
};
use crate::{
    calendar::{Calendar, Session},
    engine::{
        DayCounters, Observation, Router, Rows, SessionHours, SlotSpec, TradingDay,
        watch::{ListedExpiries, WatchList},
    },
    market::{
        Contract, InstrumentId, Listing, Provider, ProviderToken, Quote, Segment, Timestamp, TradingDate,
    },
    spool::{Frames, Mark, Record, Source},
    store::{Batch, CoverageDay},
    wire::{angel_one, nse},
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Packets decoded before the first of them is observed: enough to fill the processor's queue of memory reads.
const PACKETS_AHEAD: usize = 8;

/// What the outcome depends on besides the log.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    pub watch: WatchList,
    /// How long after its end a bucket stays open.
    pub grace_us: i64,
    /// Providers in order of preference.
    pub preference: Vec<Provider>,
    pub calendar: Arc<Calendar>,
}

/// Takes the latest state while it is made.
pub trait LiveSink {
    /// A contract is watched from now on; the answer is its place in the live state.
    fn enroll(&mut self, contract: &Contract, instrument: InstrumentId) -> u32;

    /// This place is going to be written soon: time to have it in the cache.
    fn fetch(&self, _place: u32) {}

    fn write(&mut self, place: u32, latest: &Observation, previous_open_interest: Option<i64>);

    /// Observations count for this date from now on.
    fn begin_day(&mut self, date: TradingDate);

    /// A record was worked off: what was enrolled meanwhile may be shown.
    fn settle(&mut self);
}

/// For replays: nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLive;

impl LiveSink for NoLive {
    fn enroll(&mut self, _: &Contract, _: InstrumentId) -> u32 {
        0
    }

    fn write(&mut self, _: u32, _: &Observation, _: Option<i64>) {}

    fn begin_day(&mut self, _: TradingDate) {}

    fn settle(&mut self) {}
}

/// See the module's head.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) settings: PipelineSettings,
    pub(super) counters: PipelineCounters,
    /// Of today's log.
    pub(super) lots: Option<nse::LotTable>,
    /// Today's watched contracts.
    slots: FxHashMap<InstrumentId, u32>,
    catalog: Catalog,
    pub(super) date: TradingDate,
    pub(super) session: Option<Session>,
    pub(super) day: Option<TradingDay>,
    /// While there is no session.
    pub(super) resting_router: Router,
    pub(super) gaps: GapTracker,
    /// Today's.
    pub(super) chains: ChainTable,
    tokens: TokenTable,
    /// Instrument and place in the live state by slot.
    enrolled: Vec<(InstrumentId, u32)>,
    pub(super) rows: Rows,
    pub(super) last_received: Timestamp,
    last_seq: u64,
    /// A part of the log is lost: the next mark of time tells who is up.
    pub(super) is_uncertain: bool,
}

impl Pipeline {
    pub fn new(settings: PipelineSettings, catalog: Catalog) -> Pipeline {
        let resting_router = Router::new(settings.preference.clone());
        Pipeline {
            settings,
            counters: PipelineCounters::default(),
            lots: None,
            slots: FxHashMap::default(),
            catalog,
            date: TradingDate::MIN,
            session: None,
            day: None,
            resting_router,
            gaps: GapTracker::default(),
            chains: ChainTable::default(),
            tokens: TokenTable::default(),
            enrolled: Vec::new(),
            rows: Rows::default(),
            last_received: Timestamp::from_us(i64::MIN),
            last_seq: 0,
            is_uncertain: false,
        }
    }

    /// The record that was applied last; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    pub fn counters(&self) -> &PipelineCounters {
        &self.counters
    }

    pub fn day_counters(&self) -> DayCounters {
        self.day.as_ref().map(TradingDay::counters).unwrap_or_default()
    }

    pub fn day(&self) -> Option<&TradingDay> {
        self.day.as_ref()
    }

    /// Whose values count; `None` while no feed is up.
    pub fn watching(&self) -> Option<Provider> {
        self.router().watching()
    }

    /// Whom an operator forced, whether or not it is up.
    pub fn forced(&self) -> Option<Provider> {
        self.router().forced()
    }

    fn router(&self) -> &Router {
        self.day.as_ref().map_or(&self.resting_router, TradingDay::router)
    }

    /// Works on one record and adds what comes of it to `batch`, whose checkpoint becomes this record.
    pub fn apply(&mut self, record: &Record, live: &mut impl LiveSink, batch: &mut Batch) {
        let now = record.received_time;
        self.counters.records += 1;
        self.counters.frames += record.frames.len() as u64;
        let mark = match record.source {
            Source::MARK => self.read_mark(record),
            _ => None,
        };
        // Before time passes: what closes by it is not watched any more.
        self.end_watching(mark.as_ref(), now, live, batch);
        self.pass_time(now, live, batch);
        if !matches!(mark, Some(Mark::FeedUp { .. } | Mark::PartDown { .. } | Mark::Failover { .. })) {
            self.gaps.end_head();
        }
        if let Some(provider) = record.source.provider() {
            self.gaps.note_watched(provider, now);
        }
        match record.source {
            Source::MARK => mark.into_iter().for_each(|mark| self.apply_mark(&mark, now, batch)),
            Source::ANGEL_ONE_STREAM => self.apply_packets(&record.frames, now, live),
            Source::ANGEL_ONE_QUOTE => {
                record.frames.iter().for_each(|body| self.apply_quotes(body, now, live))
            }
            Source::ANGEL_ONE_CANDLES => {
                record.frames.iter().for_each(|body| self.apply_candles(body, &record.context));
            }
            Source::ANGEL_ONE_MASTER => {
                record.frames.iter().for_each(|body| self.apply_master(body, live, batch))
            }
            // No feed asks for greeks; a log that has them makes no rows of them.
            Source::ANGEL_ONE_GREEKS => {}
            Source::NSE_CHAIN => {
                record.frames.iter().for_each(|body| self.apply_chain(body, now, live, batch))
            }
            Source::NSE_LOTS => record.frames.iter().for_each(|body| match nse::decode_lots(body) {
                Ok(lots) => self.lots = Some(lots),
                Err(error) => self.counters.note_malformed(&error),
            }),
            unknown => self.counters.note_unknown_source(unknown),
        }
        batch.gaps.append(&mut self.gaps.ended_parts);
        live.settle();
        self.last_received = now;
        self.last_seq = record.seq;
        batch.session_date = self.date;
        batch.spool_seq = record.seq;
        self.move_rows(batch);
    }

    /// Decodes some packets, then fetches all their contracts' states from memory at once, then observes: one wait
    /// for memory instead of one a packet. Decoding comes first as a whole, because packets are read in one sweep.
    fn apply_packets(&mut self, frames: &Frames, now: Timestamp, live: &mut impl LiveSink) {
        let mut ahead = [(0, Quote::default()); PACKETS_AHEAD];
        let mut decoded = 0;
        for frame in frames.iter() {
            let (slot, quote) = &mut ahead[decoded];
            match self.decode_packet(frame, quote) {
                Ok(Some(found)) => {
                    *slot = found;
                    decoded += 1;
                }
                Ok(None) => self.counters.unwatched += 1,
                Err(error) => self.counters.note_malformed(&error),
            }
            if decoded == PACKETS_AHEAD {
                self.observe_all(&ahead, now, live);
                decoded = 0;
            }
        }
        self.observe_all(&ahead[..decoded], now, live);
    }

    /// The slot of the contract whose values `quote` is now; `None` for one that is not watched.
    #[inline(always)]
    fn decode_packet(
        &mut self,
        frame: &[u8],
        quote: &mut Quote,
    ) -> Result<Option<u32>, angel_one::WireError> {
        let packet = angel_one::PacketView::parse(frame)?;
        let Some(slot) = self.tokens.get(packet.token()) else { return Ok(None) };
        packet.read(quote)?;
        self.counters.note_event(Provider::AngelOne, quote.event_time);
        Ok(Some(slot))
    }

    fn observe_all(&mut self, quotes: &[(u32, Quote)], now: Timestamp, live: &mut impl LiveSink) {
        if let Some(day) = &self.day {
            for (slot, _) in quotes {
                day.fetch(*slot);
                live.fetch(self.enrolled[*slot as usize].1);
            }
        }
        for (slot, quote) in quotes {
            self.observe(*slot, Provider::AngelOne, quote, now, live);
        }
    }

    /// Closes what ends before `now`, a session's gaps included, and begins the next day where `now` lies in one.
    pub(super) fn pass_time(&mut self, now: Timestamp, live: &mut impl LiveSink, batch: &mut Batch) {
        if let Some(day) = &mut self.day {
            day.advance(now, &mut self.rows);
        }
        batch.gaps.extend(self.gaps.close_session(now));
        let date = now.date_ist();
        if date <= self.date {
            return;
        }
        if let Some(day) = self.day.take() {
            for (slot, (instrument, _)) in self.enrolled.iter().enumerate() {
                if let Some(open_interest) = day.latest(slot as u32).open_interest() {
                    self.catalog.note_final(*instrument, open_interest);
                }
            }
        }
        // Who is up and forced is said again at the head of the day's log, which is all that a replay of the day has.
        let router = Router::new(self.settings.preference.clone());
        self.date = date;
        live.begin_day(date);
        self.slots.clear();
        self.chains = ChainTable::default();
        self.tokens.clear();
        self.enrolled.clear();
        self.lots = None;
        self.session = self.settings.calendar.session(date);
        let hours = |session: &Session| SessionHours { date, open: session.open, close: session.close };
        let hours = self.session.as_ref().map(hours);
        self.gaps.begin_day(hours);
        match hours {
            Some(hours) => {
                let mut day = TradingDay::new(hours, self.settings.grace_us, router);
                day.advance(now, &mut self.rows);
                self.day = Some(day);
            }
            None => self.resting_router = router,
        }
    }

    /// The slot of a contract that is watched today.
    pub(super) fn watched_slot(&self, contract: &Contract) -> Option<u32> {
        self.slots.get(&self.catalog.instrument(contract)?).copied()
    }

    /// Watches a listing's contract today. `None` on days without a session.
    pub(super) fn enroll(
        &mut self,
        listing: &Listing,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) -> Option<u32> {
        let (day, session) = (self.day.as_mut()?, self.session.as_ref()?);
        let contract = &listing.contract;
        let slot = match self.catalog.instrument(contract).and_then(|known| self.slots.get(&known)) {
            Some(slot) => *slot,
            None => {
                let instrument =
                    self.catalog.enroll(contract, listing.lot_size, listing.tick_size, self.date, batch);
                let chain = self.chains.chain_of(contract, day);
                let slot = day.add_slot(SlotSpec {
                    instrument,
                    close: session.close_for(contract),
                    is_option: contract.is_option(),
                    chain,
                    previous_open_interest: self.catalog.final_open_interest(instrument),
                });
                self.slots.insert(instrument, slot);
                self.enrolled.push((instrument, live.enroll(contract, instrument)));
                slot
            }
        };
        self.catalog.name(listing, self.enrolled[slot as usize].0, self.date, batch);
        if let Some(token) = listing.token {
            self.tokens.insert(token, slot);
        }
        Some(slot)
    }

    fn apply_master(&mut self, body: &[u8], live: &mut impl LiveSink, batch: &mut Batch) {
        // Read twice rather than held: fifty thousand listings are more memory than the day's state of them.
        let mut listed = ListedExpiries::default();
        let skipped = match angel_one::for_each_listing(body, |listing| listed.note(&listing.contract)) {
            Ok(skipped) => skipped,
            Err(error) => return self.counters.note_malformed(&error),
        };
        if let Some(error) = &skipped.first_malformed {
            self.counters.malformed += skipped.malformed as u64;
            self.counters.last_error = Some(error.to_string());
        }
        let watched = self.settings.watch.select(&listed, self.date);
        let enroll = |listing: Listing| {
            if watched.contains(&listing.contract) {
                self.enroll(&listing, live, batch);
            }
        };
        angel_one::for_each_listing(body, enroll).expect("it was read a moment ago");
    }

    fn apply_quotes(&mut self, body: &[u8], now: Timestamp, live: &mut impl LiveSink) {
        match angel_one::decode_quotes(body) {
            Ok(answer) => {
                for (token, quote) in &answer.quotes {
                    self.counters.note_event(Provider::AngelOne, quote.event_time);
                    if let Some(slot) = self.slot_of_token(*token) {
                        self.observe(slot, Provider::AngelOne, quote, now, live);
                    }
                }
                answer.malformed.iter().for_each(|error| self.counters.note_malformed(error));
            }
            Err(error) => self.counters.note_malformed(&error),
        }
    }

    fn apply_candles(&mut self, body: &[u8], context: &str) {
        let Some(slot) = parse_token(context).and_then(|token| self.tokens.get(token)) else {
            self.counters.unwatched += 1;
            return;
        };
        let Some(day) = &mut self.day else { return };
        match angel_one::decode_candles(body) {
            Ok(bars) => {
                for bar in bars {
                    day.take_history(slot, Provider::AngelOne, &bar, &mut self.rows);
                }
            }
            Err(error) => self.counters.note_malformed(&error),
        }
    }

    #[inline]
    fn slot_of_token(&mut self, token: ProviderToken) -> Option<u32> {
        let slot = self.tokens.get(token);
        self.counters.unwatched += u64::from(slot.is_none());
        slot
    }

    #[inline(always)]
    pub(super) fn observe(
        &mut self,
        slot: u32,
        provider: Provider,
        quote: &Quote,
        now: Timestamp,
        live: &mut impl LiveSink,
    ) {
        let Some(day) = &mut self.day else { return };
        self.counters.observations += 1;
        day.observe(slot, provider, quote, now, &mut self.rows);
        live.write(self.enrolled[slot as usize].1, day.latest(slot), day.previous_open_interest(slot));
    }

    fn move_rows(&mut self, batch: &mut Batch) {
        if self.rows.is_empty() {
            return;
        }
        let rows = &mut self.rows;
        append(&mut batch.buckets, &mut rows.buckets);
        append(&mut batch.deltas, &mut rows.deltas);
        append(&mut batch.candles, &mut rows.candles);
        append(&mut batch.unresolved, &mut rows.unresolved);
        append(&mut batch.underlyings, &mut rows.underlyings);
        append(&mut batch.closes, &mut rows.closes);
        let days = std::mem::take(&mut rows.coverage);
        batch.coverage.extend(days.into_iter().map(|(instrument, date, runs)| CoverageDay {
            instrument,
            date,
            runs,
        }));
    }
}

/// Moves all of `rows`. Many bring their memory along: a bucket's end makes a row for every contract, and room for them is
/// not needed again before the next one. A few are copied: room for those is needed again with the next record.
fn append<Row>(batch: &mut Vec<Row>, rows: &mut Vec<Row>) {
    const COPIED_MAX: usize = 1_024;
    if batch.is_empty() && rows.len() > COPIED_MAX {
        *batch = std::mem::take(rows);
    } else {
        batch.append(rows);
    }
}

/// Reads `segment=1&token=99926000&…`.
fn parse_token(context: &str) -> Option<ProviderToken> {
    let value = |key: &str| {
        context
            .split('&')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
            .and_then(|text| text.parse().ok())
    };
    let segment = Segment::from_code(u8::try_from(value("segment")?).ok()?)?;
    Some(ProviderToken { segment, token: value("token")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_candles_names_a_token() {
        let expected = ProviderToken { segment: Segment::NseCash, token: 99_926_000 };
        assert_eq!(parse_token("segment=1&token=99926000&interval=THREE_MINUTE"), Some(expected));
        for wrong in ["", "segment=9&token=1", "token=5", "segment=1&token=x", "segment=300&token=1"] {
            assert_eq!(parse_token(wrong), None, "{wrong}");
        }
    }
}
