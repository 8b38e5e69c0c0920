//! The compute child: takes records from the port, runs the pipeline over them, hands rows to the writer.
//!
//! Its state is never trusted after a failure: every incarnation rebuilds the pipeline from the log, from the first
//! day that the store does not contain whole by then, and leaves out rows that were handed over before and updates that
//! watchers were told. What they were not told yet, they are told as the log is read.
//!
//! A record that panicked or hung two incarnations, while it was applied live or while the log was read again, is left out:
//! a dead letter beside the log says so, and every replay leaves it out too ([`crate::spool::DeadLetters`]).

use super::{
    evidence_watch::EvidenceWatch,
    live_state::{LiveState, RecorderEnd, Unwitnessed},
    recovery::Recovery,
    status::DaemonStatus,
    store_record::StoreRecord,
};
use crate::{
    actor::{ChildError, Lease, Port, Producer, Refusal, Verdict},
    engine::TradingDay,
    logging::{self, Event},
    market::{Timestamp, TradingDate},
    pipeline::{Pipeline, PipelineSettings},
    spool::{self, Continuity, DeadLetter, DeadLetters, LostParts, Record, SpoolError, SpoolReader},
    store::Batch,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Records taken from the port at once.
const DRAIN_MAX: usize = 256;
/// How often silent contracts are looked for, and how many a feed is given at most: some seconds of its requests.
const SILENT_EVERY_US: i64 = 10_000_000;
const SILENT_TOKENS_MAX: usize = 500;
/// What decoding a master may take on a slow machine.
const MASTER_EXCUSE: Duration = Duration::from_secs(60);

/// What every incarnation begins from.
#[derive(Clone)]
pub struct Recorder {
    pub settings: PipelineSettings,
    pub recovery: Recovery,
    pub spool_directory: PathBuf,
    pub records: Port<Record>,
    pub batches: Port<Batch>,
    pub live: LiveState,
    pub status: Arc<DaemonStatus>,
    /// Rows of records up to this one were handed to the writer.
    pub handed_over: Arc<AtomicU64>,
    /// Watchers were told what records up to this one brought.
    pub told: Arc<AtomicU64>,
}

impl Recorder {
    /// One incarnation.
    ///
    /// # Errors
    /// When the log cannot be read, a record cannot be set aside, or the writer's port is gone.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let writer = self.batches.producer(&lease);
        let mut live = self.live.sink(&lease);
        let dead_letters = DeadLetters::read(&self.spool_directory)?;
        let mut work = Work { recorder: &self, lease: &lease, dead_letters };
        self.recovery.begin(&lease);
        let StoreRecord { catalog, checkpoint, last_received } = self.stored_record(&lease).await;
        let mut pipeline = Pipeline::new(self.settings.clone(), catalog);
        let mut applied = 0;
        // Numbers may repeat where a part of the log was away and is back: rows are left out by where this incarnation begins.
        let handed_over = self.handed_over.load(Ordering::Acquire);
        let from = checkpoint.map(|checkpoint| checkpoint.session_date);
        for date in days_from(&self.spool_directory, from)? {
            let mut continuity = Continuity::new(date);
            let mut kinship = Kinship::new(last_received.filter(|_| Some(date) == from));
            let mut log = SpoolReader::open(&self.spool_directory, date)?.peekable();
            while let Some(read) = log.next() {
                let record = match read {
                    Ok(record) => record,
                    Err(SpoolError::Damaged(damage)) => {
                        self.status.note_damage(&damage, date);
                        self.note_lost(date, &damage.to_string());
                        pipeline.note_loss();
                        continuity.note_damage();
                        kinship.excuse();
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let next = log.peek().and_then(|read| read.as_ref().ok());
                if let Some(hole) = continuity.note(&record, next)
                    && !hole.is_filled(&self.spool_directory)?
                {
                    self.status.note_hole(&hole, &self.spool_directory);
                    self.note_lost(hole.date(), &hole.lost());
                    pipeline.note_loss();
                    kinship.excuse();
                }
                if continuity.is_foreign(&record) {
                    continue;
                }
                kinship.note(record.received_time);
                let mut batch = empty_batch(date);
                work.apply(&mut pipeline, &record, &mut live, &mut batch)?;
                applied = record.seq;
                work.tell_watchers(&batch, applied);
                if record.seq > handed_over && !batch.is_empty() {
                    work.hand_over(&writer, batch).await?;
                }
            }
            if let Some(received) = kinship.lacking().filter(|_| continuity.aside().is_empty()) {
                self.status.note_poorer_rows(date, describe_foreign(date, received));
            }
            if let Some(aside) = continuity.aside().last() {
                self.status.clock.note_earlier_set_aside(date, aside.describe());
            }
        }
        if applied > 0 {
            log::info!(event = Event::SpoolReplayed, seq = applied; "rebuilt from the log up to record {applied}");
        }
        self.recovery.end(&lease);
        self.show(&pipeline);
        self.status.readiness.pipeline_up.store(true, Ordering::Relaxed);
        let mut records = self.records.consumer(&lease);
        let mut next_silent = pipeline.last_received();
        let mut evidence = EvidenceWatch::new();
        // Outside the session's hours it may be days until the next record comes.
        self.look(&mut evidence, &pipeline, &lease);
        while let Some(taken) = records.drain(DRAIN_MAX).await {
            // The log was read to its end, so the port may hold what was applied already.
            let mut batch = empty_batch(TradingDate::MIN);
            for record in taken.items() {
                if record.seq > applied {
                    work.apply(&mut pipeline, record, &mut live, &mut batch)?;
                    applied = record.seq;
                }
            }
            if !batch.is_empty() {
                work.tell_watchers(&batch, applied);
                work.hand_over(&writer, batch).await?;
            }
            if !taken.done() {
                break;
            }
            self.show(&pipeline);
            self.look(&mut evidence, &pipeline, &lease);
            if pipeline.last_received() >= next_silent {
                next_silent = pipeline.last_received().plus_us(SILENT_EVERY_US);
                self.ask_for_silent(&pipeline);
            }
        }
        Ok(())
    }

    /// What the store contains as this incarnation begins. Where the store does not say, what was last known of it: more of
    /// the log is read then, with the same outcome.
    async fn stored_record(&self, lease: &Lease) -> StoreRecord {
        if lease.incarnation() == 1 {
            return self.recovery.stored();
        }
        let _waiting = lease.pulse().wait();
        self.read_store().await
    }

    async fn read_store(&self) -> StoreRecord {
        self.recovery.read_store().await.unwrap_or_else(|reason| {
            log::warn!(event = Event::StoreAway, error = reason;
                "the store does not say what it contains, so the log is read from where it last said: {reason}");
            self.recovery.stored()
        })
    }

    /// Before any row that comes of what is left is handed over.
    fn note_lost(&self, date: TradingDate, lost: &str) {
        if let Err(error) = LostParts::note(&self.spool_directory, date, lost) {
            log::error!(
                event = Event::SpoolIncomplete, error:%;
                "rows that are written from now on will not be written again once that part is back: {error}"
            );
        }
    }

    /// Shows what the evidence lacks, when it is time to look.
    fn look(&self, evidence: &mut EvidenceWatch, pipeline: &Pipeline, lease: &Lease) {
        let Some(lacks) = evidence.look(pipeline) else { return };
        self.status.pipeline.set_lacks(lacks);
        if lease.is_current() {
            self.live.set_unwitnessed(Unwitnessed::of(pipeline));
        }
    }

    /// Has the feeds request what their streams have been silent about.
    fn ask_for_silent(&self, pipeline: &Pipeline) {
        for feed in &self.status.feeds {
            let now = pipeline.last_received();
            feed.set_silent(pipeline.silent_tokens(feed.provider, now, SILENT_TOKENS_MAX));
        }
    }

    fn show(&self, pipeline: &Pipeline) {
        self.show_work(pipeline);
        self.show_session(pipeline.day());
        self.status.pipeline.seq.store(pipeline.last_seq(), Ordering::Release);
    }

    fn show_work(&self, pipeline: &Pipeline) {
        use Ordering::Relaxed;
        let status = &self.status.pipeline;
        let counters = pipeline.counters();
        status.records.store(counters.records, Relaxed);
        status.observations.store(counters.observations, Relaxed);
        status.malformed.store(counters.malformed, Relaxed);
        status.unwatched.store(counters.unwatched, Relaxed);
        status.stale_bodies.store(counters.stale_bodies, Relaxed);
        status.unknown_sources.store(counters.unknown_sources, Relaxed);
        status.set_unknown_source(counters.last_unknown_source);
        status.set_last_error(&counters.last_error);
        status.set_forced_provider(pipeline.forced());
        status.set_active_provider(pipeline.active_provider());
        for feed in &self.status.feeds {
            if let Some(event_time) = counters.of(feed.provider).last_event {
                feed.note_event(event_time);
            }
        }
    }

    fn show_session(&self, day: Option<&TradingDay>) {
        use Ordering::Relaxed;
        let status = &self.status.pipeline;
        let Some(day) = day else {
            status.set_session(None);
            logging::set_session(None);
            return;
        };
        let day_counters = day.counters();
        status.late.store(day_counters.late, Relaxed);
        status.outdated.store(day_counters.outdated, Relaxed);
        status.watched.store(day.slot_count() as u64, Relaxed);
        status.buckets_closed.store(day.closed_buckets() as u64, Relaxed);
        status.buckets_of_session.store(day.bucket_count() as u64, Relaxed);
        let hours = day.hours();
        status.set_session(Some((hours.open, hours.close)));
        logging::set_session(Some(hours.open.date_ist()));
    }
}

/// One incarnation at work.
struct Work<'a> {
    recorder: &'a Recorder,
    lease: &'a Lease,
    dead_letters: DeadLetters,
}

impl Work<'_> {
    /// Applies a record unless it is to be left out; one that broke two incarnations is left out from now on.
    fn apply(
        &mut self,
        pipeline: &mut Pipeline,
        record: &Record,
        live: &mut RecorderEnd,
        batch: &mut Batch,
    ) -> Result<(), SpoolError> {
        let lease = self.lease;
        lease.pulse().progress();
        if self.dead_letters.contains(record.seq) {
            return Ok(());
        }
        if let Some(verdict) = lease.verdict(record.seq) {
            let Verdict { incarnations, reason, .. } = verdict;
            let letter = DeadLetter::of(record, lease.child(), incarnations, reason.to_string());
            self.dead_letters.add(&self.recorder.spool_directory, letter)?;
            lease.note_set_aside();
            self.recorder.status.pipeline.set_aside.fetch_add(1, Ordering::Relaxed);
            log::error!(
                event = Event::RecordSetAside, seq = record.seq, reason:%;
                "record {} is left out: it {reason}; it stays in the log",
                record.seq
            );
            return Ok(());
        }
        // Some hundred thousand rows of JSON in one turn.
        let is_long = record.source.is_long();
        let _excused = is_long.then(|| lease.pulse().excuse(MASTER_EXCUSE));
        lease.take_in_hand(record.seq);
        #[cfg(feature = "chaos")]
        super::chaos::taste_record(record.seq);
        pipeline.apply(record, live, batch);
        lease.lay_down();
        Ok(())
    }

    /// Once, whichever incarnation comes to it: `seq` is the batch's last record.
    fn tell_watchers(&self, batch: &Batch, seq: u64) {
        let Recorder { live, told, .. } = self.recorder;
        if self.lease.is_current() && told.fetch_max(seq, Ordering::AcqRel) < seq {
            live.tell_watchers(batch);
        }
    }

    async fn hand_over(&self, writer: &Producer<Batch>, batch: Batch) -> Result<(), Refusal> {
        let (seq, rows) = (batch.spool_seq, batch.row_count());
        self.recorder.status.gaps.note(&batch.gaps);
        writer.push(batch).await.map_err(|refused| refused.reason)?;
        self.recorder.status.store.note_handed_over(rows);
        // An incarnation that was given up meanwhile did hand these over, but perhaps no later ones.
        self.recorder.handed_over.fetch_max(seq, Ordering::AcqRel);
        Ok(())
    }
}

/// Whether a day's log is the one that filled the store: it has the record that the store's last rows rest on, unless something
/// of it is known to lack.
struct Kinship {
    sought: Option<Timestamp>,
}

impl Kinship {
    /// `received`: when that record was, if the store has such rows of the day.
    fn new(received: Option<Timestamp>) -> Kinship {
        Kinship { sought: received }
    }

    fn note(&mut self, received: Timestamp) {
        if self.sought == Some(received) {
            self.sought = None;
        }
    }

    /// The log lacks a part, which is told: the record may be in it.
    fn excuse(&mut self) {
        self.sought = None;
    }

    /// When the record was received that no log has.
    fn lacking(&self) -> Option<Timestamp> {
        self.sought
    }
}

/// What a log that is not the store's is told as, and what to do.
fn describe_foreign(date: TradingDate, received: Timestamp) -> String {
    let received = received.to_ist().format("%H:%M:%S%.3f");
    format!(
        "the store's rows of {date} are not of this log: the last of them rest on what was received at {received}, and the log \
         has no record of then; stop bhavd and put the log and the store beside each other that belong together, or start it \
         over an empty store, which is filled from the log"
    )
}

/// The log's days from `from` on; all of them if the store contains nothing.
pub fn days_from(directory: &Path, from: Option<TradingDate>) -> Result<Vec<TradingDate>, SpoolError> {
    let mut days = spool::days(directory)?;
    days.retain(|date| from.is_none_or(|from| *date >= from));
    Ok(days)
}

fn empty_batch(date: TradingDate) -> Batch {
    Batch::new(date, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Source;
    use crate::{
        actor::Policy,
        control::{Update, WatchRequest},
        market::{OptionType, Price, Provider, Timestamp, Told},
        spool::{Frames, Mark, NewRecord, Spool},
        store::{self, Birth, Checkpoint, Store},
        wire::nse::{
            Chain, ChainShape, Leg, LotMonth, LotRow, LotSection, LotTable, encode_chain, encode_lots,
        },
    };

    fn recorder(directory: &Path) -> Recorder {
        Recorder {
            settings: PipelineSettings::of_tests(),
            recovery: Recovery::new(
                format!("sqlite:{}", directory.join("bhavd.db").display()),
                StoreRecord::default(),
            ),
            spool_directory: directory.join("spool"),
            records: Port::new("records", 100, Policy::Wait),
            batches: Port::new("batches", 100, Policy::Wait),
            live: LiveState::new(false),
            status: Arc::default(),
            handed_over: Arc::default(),
            told: Arc::default(),
        }
    }

    fn date() -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
    }

    #[tokio::test]
    async fn a_rebuild_begins_where_the_store_stands_by_then() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("bhavd.db").display());
        let known = Some(Checkpoint { session_date: TradingDate::MIN, spool_seq: 1 });
        let recovery =
            Recovery::new(url.clone(), StoreRecord { checkpoint: known, ..StoreRecord::default() });
        let recorder = Recorder { recovery, ..recorder(directory.path()) };
        assert_eq!(recorder.read_store().await.checkpoint, known, "there is no store");
        let mut store = store::open(&url, Birth::Simulated).await.expect("opens");
        store.append(&Batch::new(date(), 7)).await.expect("written");
        let checkpoint = Checkpoint { session_date: date(), spool_seq: 7 };
        assert_eq!(recorder.read_store().await.checkpoint, Some(checkpoint));
    }

    /// Lot sizes, and a chain twice with different open interest.
    fn log_chains(directory: &Path) {
        let open = Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(9 * 3_600 + 15 * 60);
        let row = LotRow {
            section: LotSection::Indices,
            name: "NIFTY 50".to_owned(),
            symbol: "NIFTY".to_owned(),
            lots: vec![Some(65)],
        };
        let table = LotTable { months: vec![LotMonth { year: 2026, month: 2 }], rows: vec![row] };
        let expiry = TradingDate::from_ymd_opt(2026, 2, 3).expect("a date");
        let chain = |second: i64, lots: f64| {
            let leg = Leg {
                underlying: "NIFTY".into(),
                expiry,
                strike: Price::from_e4(250_000_000),
                option_type: OptionType::Call,
                open_interest_lots: Some(lots),
                open_interest_change_lots: None,
                volume_lots: Some(2.0),
                last_price: Told::Value(Price::from_e4(1_000_000)),
                bid: Told::Nothing,
                ask: Told::Nothing,
                implied_volatility_e4: Told::Nothing,
            };
            let timestamp = open.plus_seconds(second);
            let (expiries, legs) = (vec![expiry], vec![leg]);
            let chain = Chain {
                timestamp,
                underlying_value: None,
                expiries,
                legs,
                rowless_strikes: Vec::new(),
                malformed: Vec::new(),
            };
            (Source::NSE_CHAIN, timestamp, encode_chain(&chain, ChainShape::V3))
        };
        let mut spool = Spool::open(directory).expect("a log").spool;
        spool.append(&mut NewRecord::mark(open, &Mark::feed_up(Provider::Nse))).expect("appended");
        for (source, received_time, body) in
            [(Source::NSE_LOTS, open, encode_lots(&table)), chain(10, 10.0), chain(20, 12.0)]
        {
            let frames = Frames::one(&body);
            let mut record = NewRecord { source, received_time, context: String::new(), frames };
            spool.append(&mut record).expect("appended");
        }
    }

    #[tokio::test]
    async fn a_session_that_was_missed_is_told_before_any_further_record_comes() {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder = recorder(directory.path());
        let mut spool = Spool::open(&recorder.spool_directory).expect("a log").spool;
        let evening = Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(20 * 3_600);
        spool.append(&mut NewRecord::mark(evening, &Mark::clock([]))).expect("appended");
        drop(spool);
        let lease = Lease::detached("recorder");
        let waited = async {
            while recorder.status.pipeline.lacks().of_day.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = recorder.clone().run(lease) => ended.expect("it waits for records"),
            () = waited => {}
        }
        let said = recorder.status.pipeline.lacks().of_day;
        assert!(said[0].starts_with("nothing of the session of 2026-01-30 was recorded: "), "{said:?}");
    }

    #[tokio::test]
    async fn watchers_are_told_once_what_a_rebuild_comes_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder = recorder(directory.path());
        log_chains(&recorder.spool_directory);
        let mut updates = recorder.live.watch(WatchRequest { underlying: None }).expect("a place");
        for is_told in [true, false] {
            let lease = Lease::detached("recorder");
            tokio::select! {
                biased;
                ended = recorder.clone().run(lease) => ended.expect("it waits for records"),
                update = updates.recv(), if is_told => {
                    assert!(matches!(update, Some(Update::Delta { .. })), "{update:?}");
                }
                () = tokio::task::yield_now(), if !is_told => {}
            }
            assert!(updates.try_recv().is_err());
        }
    }
}
