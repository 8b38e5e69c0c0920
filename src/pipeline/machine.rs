//! The machine itself: which record means what, and when a day begins.

use super::{
    catalog::Catalog, chains::ChainTable, counters::PipelineCounters, day_plan::PlannedContract,
    decoders::Decoders, gaps::GapTracker, ingest::Ingest, listings::Listings, loss::Loss,
    lot_sizes::LotSizes,
};
use crate::{
    calendar::{Calendar, Session},
    engine::{
        ContradictedBar, ContradictedBase, ContradictedVolume, Counted, DayCounters, MissingChain,
        Observation, OiDispute, OiJump, PriceOutlier, Rows, SessionHours, TradingDay, UnstreamedChain,
        UntoldQuotes, UnwitnessedChain, WrongStamps, watch::WatchList,
    },
    market::{Contract, InstrumentId, Provider, ProviderToken, Timestamp, TradingDate},
    spool::{ChannelTimes, DayRules, Mark, RULES_SCHEMA, Record, SessionTimes, Source},
    store::{Batch, CoverageDay},
};
use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, sync::Arc};

/// What the next day's head will say; of a day that has one, that counts instead.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    pub watch: WatchList,
    /// How long after its end a bucket stays open at least.
    pub grace_us: i64,
    /// Silences shorter than this say nothing; 0 in real time.
    pub silence_min_us: i64,
    /// By channel, where it differs from what the provider declares.
    pub channels: BTreeMap<String, ChannelTimes>,
    /// Providers in order of preference.
    pub preference: Vec<Provider>,
    pub calendar: Arc<Calendar>,
}

impl PipelineSettings {
    /// Every underlying of NSE, from any provider, by the calendar built in.
    #[cfg(test)]
    pub fn of_tests() -> PipelineSettings {
        use crate::engine::watch::WatchedUnderlying;
        PipelineSettings {
            watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(0)] },
            grace_us: 5_000_000,
            silence_min_us: 0,
            channels: BTreeMap::new(),
            preference: Provider::ALL.into(),
            calendar: Arc::new(Calendar::embedded()),
        }
    }

    /// The rules of a day that begins now.
    pub fn rules(&self, date: TradingDate) -> DayRules {
        DayRules {
            schema: RULES_SCHEMA,
            universe: self.watch.underlyings.clone(),
            grace_us: self.grace_us,
            silence_min_us: self.silence_min_us,
            channels: self.channels.clone(),
            preference: self.preference.iter().map(|provider| provider.name().to_owned()).collect(),
            session: self.session_times(date),
        }
    }

    /// The calendar's session of a date.
    pub fn session_times(&self, date: TradingDate) -> Option<SessionTimes> {
        self.calendar.session(date).map(SessionTimes::from)
    }
}

/// Takes the latest state while it is made.
pub trait LiveSink {
    /// A contract is watched from now on; the answer is its place in the live state.
    fn enroll(&mut self, contract: &Contract, instrument: InstrumentId) -> u32;

    /// This place is going to be written soon: time to have it in the cache.
    #[inline]
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

    #[inline]
    fn write(&mut self, _: u32, _: &Observation, _: Option<i64>) {}

    fn begin_day(&mut self, _: TradingDate) {}

    fn settle(&mut self) {}
}

/// See the module's head.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) settings: PipelineSettings,
    pub(super) counters: PipelineCounters,
    /// Today's recorded contracts.
    pub(super) slots: FxHashMap<InstrumentId, u32>,
    pub(super) catalog: Catalog,
    pub(super) date: TradingDate,
    /// By which today is judged.
    rules: DayRules,
    /// The day's log began with its rules.
    has_rules: bool,
    /// The day's log has a plan of its contracts.
    has_plan: bool,
    /// The last day with rows before, as the plan says.
    pub(super) planned_from: Option<TradingDate>,
    pub(super) universe: WatchList,
    session: Option<Session>,
    /// Values of today's session were received while it was open.
    has_session_data: bool,
    pub(super) day: Option<TradingDay>,
    /// The operator's override; the day's log repeats it at its head.
    pub(super) forced: Option<Provider>,
    pub(super) gaps: GapTracker,
    /// Today's.
    pub(super) chains: ChainTable,
    /// Today's.
    pub(super) listings: Listings,
    decoders: Decoders,
    /// Instrument and place in the live state by slot.
    enrolled: Vec<(InstrumentId, u32)>,
    pub(super) lot_sizes: LotSizes,
    pub(super) rows: Rows,
    pub(super) last_received: Timestamp,
    last_seq: u64,
    pub(super) loss: Loss,
    /// A part of the log is lost: the next mark of time tells who is up.
    pub(super) is_uncertain: bool,
}

impl Pipeline {
    pub fn new(settings: PipelineSettings, catalog: Catalog) -> Pipeline {
        Pipeline {
            rules: settings.rules(TradingDate::MIN),
            universe: settings.watch.clone(),
            settings,
            counters: PipelineCounters::default(),
            slots: FxHashMap::default(),
            catalog,
            date: TradingDate::MIN,
            has_rules: false,
            has_plan: false,
            planned_from: None,
            session: None,
            has_session_data: false,
            day: None,
            forced: None,
            gaps: GapTracker::default(),
            chains: ChainTable::default(),
            listings: Listings::default(),
            decoders: Decoders::default(),
            enrolled: Vec::new(),
            lot_sizes: LotSizes::default(),
            rows: Rows::default(),
            last_received: Timestamp::NEVER,
            last_seq: 0,
            loss: Loss::default(),
            is_uncertain: false,
        }
    }

    /// The record that was applied last; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Receipt of the record that was applied last.
    pub fn last_received(&self) -> Timestamp {
        self.last_received
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

    /// Watched underlyings of which no option is known today.
    pub fn unknown_underlyings(&self) -> Vec<&str> {
        let entries = self.universe.underlyings.iter().map(|entry| entry.underlying.as_str());
        entries
            .filter(|name| *name != "*" && self.day.is_some() && !self.chains.has_options_of(name))
            .collect()
    }

    /// The time of the day that a response may take, where days pass faster than machines respond.
    pub fn silence_min_us(&self) -> i64 {
        self.rules.silence_min_us
    }

    /// Quotes of a provider, today, that did not tell the open interest or the level.
    pub fn untold(&self, provider: Provider) -> UntoldQuotes {
        self.day.as_ref().map_or_else(UntoldQuotes::default, |day| day.untold(provider))
    }

    /// Quotes of a provider, today, under stamps that are not of their instant.
    pub fn wrong_stamps(&self, provider: Provider) -> WrongStamps {
        self.day.as_ref().map_or_else(WrongStamps::default, |day| day.wrong_stamps(provider))
    }

    /// How often a provider has missed what another one showed, today.
    pub fn missed_changes(&self, provider: Provider) -> u64 {
        self.day.as_ref().map_or(0, |day| day.missed_changes(provider))
    }

    /// Open interest that two providers show differently, by chain, with its name.
    pub fn oi_disputes(&self) -> Vec<(String, InstrumentId, OiDispute)> {
        let disputes = self.day.as_ref().map(|day| (day, day.oi_disputes()));
        let named = disputes.into_iter().flat_map(|(day, disputes)| {
            disputes.into_iter().map(move |dispute| (day.instrument_of(dispute.slot), dispute))
        });
        named
            .map(|(instrument, dispute)| (self.chains.name(dispute.chain).to_owned(), instrument, dispute))
            .collect()
    }

    /// Today's cumulative volumes of a provider that its own later ones contradicted.
    pub fn contradicted_volumes(&self, provider: Provider) -> Counted<ContradictedVolume> {
        self.day.as_ref().map(|day| day.contradicted_volumes(provider)).unwrap_or_default()
    }

    /// Today's open interest of the session before that a provider named otherwise than it had been named before.
    pub fn contradicted_bases(&self, provider: Provider) -> Counted<ContradictedBase> {
        self.day.as_ref().map(|day| day.contradicted_bases(provider)).unwrap_or_default()
    }

    /// Today's changes of open interest of a provider by more than was traded.
    pub fn oi_jumps(&self, provider: Provider) -> Counted<OiJump> {
        self.day.as_ref().map(|day| day.oi_jumps(provider)).unwrap_or_default()
    }

    /// Today's candles of a provider that the prices seen contradict.
    pub fn contradicted_bars(&self, provider: Provider) -> Counted<ContradictedBar> {
        self.day.as_ref().map(|day| day.contradicted_bars(provider)).unwrap_or_default()
    }

    /// Today's prices of a provider that are far from those before and after them.
    pub fn price_outliers(&self, provider: Provider) -> Counted<PriceOutlier> {
        self.day.as_ref().map(|day| day.price_outliers(provider)).unwrap_or_default()
    }

    /// The contract that an instrument is.
    pub fn contract(&self, instrument: InstrumentId) -> Option<&Contract> {
        self.catalog.contract(instrument)
    }

    /// The date whose records are applied, and whether its log has the rules by which this version judges.
    pub fn judged_by_log(&self) -> (TradingDate, bool) {
        (self.date, self.has_rules && self.rules.is_current())
    }

    /// The provider whose values are recorded for most chains; `None` while none covers any.
    pub fn active_provider(&self) -> Option<Provider> {
        self.day.as_ref().and_then(TradingDay::active_provider)
    }

    /// The operator's override, whether or not that provider covers anything.
    pub fn forced(&self) -> Option<Provider> {
        self.forced
    }

    /// Chains of which the latest rows are mostly missing, with their titles.
    pub fn missing_chains(&self) -> Vec<(String, MissingChain)> {
        let chains = self.day.as_ref().map(TradingDay::missing_chains).unwrap_or_default();
        chains.into_iter().map(|found| (self.chains.title(found.chain).to_owned(), found)).collect()
    }

    /// Today's session, once it is over and the log has no value that was received while it was open.
    pub fn missed_session(&self) -> Option<SessionTimes> {
        self.recorded_session()
            .filter(|session| !self.has_session_data && self.last_received >= session.close())
    }

    /// The session by which the day is recorded.
    pub(super) fn recorded_session(&self) -> Option<SessionTimes> {
        self.session.as_ref().copied().map(SessionTimes::from)
    }

    /// Whether a provider lists contracts of a chain by tokens of its own, and so is to show them.
    pub fn is_listed(&self, chain: u32) -> bool {
        let slots = self.day.as_ref().map_or(&[][..], |day| day.slots_of(chain));
        Provider::ALL.into_iter().any(|provider| !self.decoders.tokens_of(provider, slots, 1).is_empty())
    }

    /// Chains of which no provider shows most contracts, with their titles.
    pub fn unwitnessed_chains(&self, now: Timestamp) -> Vec<(String, UnwitnessedChain)> {
        let chains = self.day.as_ref().map(|day| day.unwitnessed_chains(now)).unwrap_or_default();
        self.named(chains)
    }

    /// Chains of which the close of contracts was not seen, with their titles; none before the day is closed.
    pub fn unclosed_chains(&self) -> Vec<(String, UnwitnessedChain)> {
        self.named(self.day.as_ref().map(TradingDay::unclosed_chains).unwrap_or_default())
    }

    /// Chains, with their titles, of which the streams of a provider bring nothing although they bring other data.
    pub fn unstreamed_chains(&self) -> Vec<(String, UnstreamedChain)> {
        let chains = self.day.as_ref().map(TradingDay::unstreamed_chains).unwrap_or_default();
        chains.into_iter().map(|found| (self.chains.title(found.chain).to_owned(), found)).collect()
    }

    fn named(&self, chains: Vec<UnwitnessedChain>) -> Vec<(String, UnwitnessedChain)> {
        chains.into_iter().map(|found| (self.chains.title(found.chain).to_owned(), found)).collect()
    }

    /// Contracts whose values no provider proves any more.
    pub fn unwitnessed_contracts(&self, now: Timestamp) -> Vec<InstrumentId> {
        let Some(day) = &self.day else { return Vec::new() };
        day.unwitnessed_slots(now).into_iter().map(|slot| day.instrument(slot)).collect()
    }

    /// Contracts that a provider's streams have been silent about for longest, by its tokens: what to request.
    pub fn silent_tokens(&self, provider: Provider, now: Timestamp, max: usize) -> Vec<ProviderToken> {
        let in_session = |day: &&TradingDay| {
            let hours = day.hours();
            // The last bucket is proved by what is requested after the close.
            hours.open <= now && now < hours.close.plus_seconds(600)
        };
        let Some(day) = self.day.as_ref().filter(in_session) else { return Vec::new() };
        self.decoders.tokens_of(provider, &day.silent_slots(provider, now), max)
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
        // Before time passes: what closes by it is not witnessed any more.
        self.end_watching(mark.as_ref(), now, live, batch);
        self.pass_time(now, mark.as_ref(), live, batch);
        if !is_of_head(record.source, mark.as_ref()) {
            self.gaps.end_head();
        }
        let provider = record.source.provider();
        if let Some(provider) = provider {
            self.gaps.note_watched(provider, now);
        }
        match (record.source, provider) {
            (Source::MARK, _) => mark.into_iter().for_each(|mark| self.apply_mark(&mark, now, batch)),
            (Source::DAY_PLAN, _) => self.apply_plan(record, live, batch),
            (_, Some(provider)) => {
                let before = self.counters.observations;
                self.ingest(record, live, batch, |decoders, record, ingest| {
                    decoders.decode(provider, record, ingest);
                });
                self.has_session_data |= self.counters.observations > before
                    && self.session.is_some_and(|session| session.open <= now && now < session.close);
            }
            (unknown, None) => self.counters.note_unknown_source(unknown),
        }
        self.follow_scopes(batch);
        batch.gaps.append(&mut self.gaps.ended_parts);
        live.settle();
        self.last_received = now;
        self.last_seq = record.seq;
        batch.session_date = self.date;
        batch.spool_seq = record.seq;
        self.loss.end(now, self.session.as_ref());
        self.move_rows(batch);
    }

    /// Has a record worked off with everything that it may change.
    #[inline(always)]
    fn ingest<Live: LiveSink>(
        &mut self,
        record: &Record,
        live: &mut Live,
        batch: &mut Batch,
        work: impl FnOnce(&mut Decoders, &Record, &mut Ingest<'_, Live>),
    ) {
        let mut ingest = Ingest {
            received: record.received_time,
            date: self.date,
            session: self.session.as_ref(),
            day: self.day.as_mut(),
            rules: &self.rules,
            universe: &self.universe,
            catalog: &mut self.catalog,
            chains: &mut self.chains,
            listings: &mut self.listings,
            slots: &mut self.slots,
            enrolled: &mut self.enrolled,
            lot_sizes: &mut self.lot_sizes,
            counters: &mut self.counters,
            rows: &mut self.rows,
            live,
            batch,
        };
        work(&mut self.decoders, record, &mut ingest);
    }

    /// The contracts that the days before know, and their open interest. A second plan of a day changes nothing: what changes
    /// are measured against stays.
    fn apply_plan(&mut self, record: &Record, live: &mut impl LiveSink, batch: &mut Batch) {
        if std::mem::replace(&mut self.has_plan, true) {
            return;
        }
        self.planned_from = record.context.strip_prefix("from=").and_then(|date| date.parse().ok());
        self.ingest(record, live, batch, |_, record, ingest| {
            for planned in record.frames.iter().flat_map(PlannedContract::decode) {
                let planned = match planned {
                    Ok(planned) => planned,
                    Err(error) => {
                        ingest.counters.note_malformed(&error);
                        continue;
                    }
                };
                if let Some(slot) = ingest.enroll_planned(&planned)
                    && let (Some((open_interest, base)), Some(day)) = (planned.base, &mut ingest.day)
                {
                    day.set_base(slot, open_interest, base);
                }
            }
        });
    }

    /// Closes what ends before `now`, a session's gaps included, and begins the next day where `now` lies in one.
    pub(super) fn pass_time(
        &mut self,
        now: Timestamp,
        mark: Option<&Mark>,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) {
        let date = now.date_ist();
        if let Some(day) = &mut self.day {
            if date > self.date {
                day.finish(&mut self.rows);
            } else {
                day.advance(now, &mut self.rows);
            }
            self.follow_scopes(batch);
        }
        batch.gaps.extend(self.gaps.close_session(now));
        if date <= self.date {
            return;
        }
        self.date = date;
        let rules = match mark {
            Some(Mark::Rules { rules }) => Some(rules.clone()),
            _ => None,
        };
        self.has_rules = rules.is_some();
        self.has_plan = false;
        self.planned_from = None;
        self.has_session_data = false;
        // A day whose log was begun by a version before has none.
        self.rules = rules.unwrap_or_else(|| self.settings.rules(date));
        self.universe = WatchList { underlyings: self.rules.universe.clone() };
        live.begin_day(date);
        self.counters.begin_day();
        self.slots.clear();
        self.chains = ChainTable::default();
        self.listings = Listings::default();
        self.decoders.begin_day();
        self.enrolled.clear();
        self.lot_sizes = LotSizes::default();
        self.forced = None;
        self.begin_session(now);
    }

    /// Begins what is recorded of the session that the rules say.
    fn begin_session(&mut self, now: Timestamp) {
        self.session = session_of(self.date, &self.rules);
        let hours = self.session.as_ref().map(hours_of);
        self.gaps.begin_day(hours);
        self.day = hours.map(|hours| {
            let DayRules { grace_us, silence_min_us, .. } = self.rules;
            TradingDay::new(hours, grace_us, silence_min_us, self.rules.providers())
        });
        if let Some(day) = &mut self.day {
            day.advance(now, &mut self.rows);
        }
    }

    /// Rules that hold from here on: what is recorded, in which order providers are preferred, and the session as far as it can
    /// be taken, see [`SessionTimes::taken`].
    pub(super) fn change_rules(&mut self, rules: &DayRules, now: Timestamp) {
        let is_of_day = |times: &SessionTimes| times.date() == self.date && times.open_us < times.close_us;
        let before = self.rules.session;
        let session = SessionTimes::taken(before, rules.session.filter(is_of_day), now);
        self.rules = DayRules { session, ..rules.clone() };
        self.universe = WatchList { underlyings: rules.universe.clone() };
        if session != before {
            self.change_session(now);
        }
        if let Some(day) = &mut self.day {
            day.set_preference(self.rules.providers(), now, &mut self.rows);
        }
    }

    fn change_session(&mut self, now: Timestamp) {
        let (Some(day), Some(session)) = (&mut self.day, session_of(self.date, &self.rules)) else {
            // Of a day that had none, nothing was recorded: what is listed and planned counts when it is said again.
            self.has_plan = false;
            self.decoders.begin_day();
            return self.begin_session(now);
        };
        let catalog = &self.catalog;
        let close_of =
            |of| catalog.contract(of).map_or(session.close, |contract| session.close_for(contract));
        let hours = hours_of(&session);
        day.change_hours(hours, close_of, now, &mut self.rows);
        self.gaps.change_hours(hours, now);
        self.session = Some(session);
    }

    fn move_rows(&mut self, batch: &mut Batch) {
        if self.rows.is_empty() {
            return;
        }
        let rows = &mut self.rows;
        self.loss.take_supplements(rows, batch);
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

fn hours_of(session: &Session) -> SessionHours {
    SessionHours { date: session.date, open: session.open, close: session.close }
}

/// The session that the rules say.
fn session_of(date: TradingDate, rules: &DayRules) -> Option<Session> {
    let times = rules.session.filter(|times| times.date() == date && times.open_us < times.close_us)?;
    let expiring_index_close = times.expiring_index_close_us.map(Timestamp::from_us);
    Some(Session { date, open: times.open(), close: times.close(), expiring_index_close })
}

/// Whether a record belongs to the head of a day's log, which repeats what was before.
fn is_of_head(source: Source, mark: Option<&Mark>) -> bool {
    source == Source::DAY_PLAN
        || matches!(
            mark,
            Some(
                Mark::Rules { .. }
                    | Mark::FeedUp { .. }
                    | Mark::StreamUp { .. }
                    | Mark::StreamDown { .. }
                    | Mark::PartDown { .. }
                    | Mark::Failover { .. }
            )
        )
}
