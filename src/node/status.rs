//! What the daemon shows of itself: atomics and small locked texts, readable whatever hangs.

use super::{clock_watch::ClockStatus, evidence_watch::Lacks, gap_log::GapLog};
use crate::{
    feed::{FeedState, FeedStatus},
    jobs::JobBoard,
    logging::Event,
    market::{Provider, Timestamp, TradingDate},
    spool::{Damage, Hole, LogSize, Source, Spool, SpoolError, SyncStatus},
    store::{Checkpoint, ErrorClass},
};
use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
};

/// Shared by all children and the control side.
#[derive(Debug, Default)]
pub struct DaemonStatus {
    pub readiness: Readiness,
    pub reload: ReloadStatus,
    pub spool: SpoolStatus,
    pub store: StoreStatus,
    pub pipeline: PipelineStatus,
    pub gaps: GapLog,
    pub feeds: Vec<Arc<FeedStatus>>,
    pub freshness: FreshnessStatus,
    pub clock: ClockStatus,
    pub jobs: Arc<JobBoard>,
}

impl DaemonStatus {
    /// Feeds that are up, out of those that are to run by the configuration or by an operator.
    pub fn count_feeds(&self) -> (usize, usize) {
        let states = || self.feeds.iter().map(|feed| feed.state());
        let up = states().filter(|state| *state == FeedState::Up).count();
        (up, states().filter(|state| *state != FeedState::Disabled).count())
    }

    /// A part of the log is not there any more: a problem, and the day is verified again.
    pub fn note_hole(&self, hole: &Hole, directory: &Path) {
        if self.spool.note_hole(hole.describe(directory)) {
            self.jobs.reopen(hole.date());
        }
    }

    /// Rows of a day know less than its log: a problem as a hole is.
    pub fn note_poorer_rows(&self, date: TradingDate, text: String) {
        if self.spool.note_hole(text) {
            self.jobs.reopen(date);
        }
    }

    /// Whole days of the log are not there any more: a problem, and no reason to verify what there is nothing of.
    pub fn note_lost_days(&self, text: String) {
        self.spool.note_hole(text);
    }

    /// The same of a part that is damaged.
    pub fn note_damage(&self, damage: &Damage, date: TradingDate) {
        if self.spool.note_damage(damage) {
            self.jobs.reopen(date);
        }
    }
}

/// What must be there before the daemon is ready. Each is said once; a later failure of a child takes nothing back.
///
/// A connected broker is no part of it: the market may be closed, the broker down.
#[derive(Debug, Default)]
pub struct Readiness {
    pub store_open: AtomicBool,
    /// The log was read to its end.
    pub pipeline_up: AtomicBool,
    pub control_listens: AtomicBool,
}

impl Readiness {
    /// What is still missing, in words.
    pub fn awaited(&self) -> Vec<&'static str> {
        let parts = [
            (&self.store_open, "the store"),
            (&self.pipeline_up, "the end of the log"),
            (&self.control_listens, "the control socket"),
        ];
        parts.into_iter().filter(|(is_there, _)| !is_there.load(Relaxed)).map(|(_, name)| name).collect()
    }
}

/// What came of the last reload.
#[derive(Debug, Default)]
pub struct ReloadStatus {
    refusal: Trouble,
    /// Keys that wait for a restart.
    waiting: Trouble,
}

impl ReloadStatus {
    /// Whatever needed a restart before still does: what runs stays as it is.
    pub fn note_refused(&self, error: &impl std::fmt::Display) {
        // A list of problems is one line here.
        self.refusal.set(error.to_string().replace('\n', "; "));
    }

    /// `waiting`: keys of which the file says otherwise than what runs, and that a reload does not apply.
    pub fn note_read(&self, waiting: Vec<String>) {
        self.refusal.clear();
        if waiting.is_empty() {
            self.waiting.clear();
        } else {
            self.waiting.set(waiting.join(", "));
        }
    }

    pub fn refusal(&self) -> Option<String> {
        self.refusal.get()
    }

    /// The last file that was valid differs from what runs.
    pub fn needs_restart(&self) -> bool {
        self.waiting.get().is_some()
    }

    /// The same in words.
    pub fn waiting(&self) -> Option<String> {
        let keys = self.waiting.get()?;
        Some(format!(
            "the configuration file was read again; what it says of {keys} waits for a restart of the daemon"
        ))
    }
}

/// A last trouble: since when, and what the operator should know.
#[derive(Debug, Default)]
struct Trouble {
    is_present: AtomicBool,
    text: Mutex<String>,
}

impl Trouble {
    fn set(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.is_present.store(true, Relaxed);
    }

    /// Whether there was one.
    fn clear(&self) -> bool {
        // Loaded first: this is called for every record, and a shared line that is only read stays in every cache.
        self.is_present.load(Relaxed) && self.is_present.swap(false, Relaxed)
    }

    fn get(&self) -> Option<String> {
        let text = || self.text.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.is_present.load(Relaxed).then(text)
    }
}

/// How far the log is, and what it suffers from.
#[derive(Debug, Default)]
pub struct SpoolStatus {
    seq: AtomicU64,
    trouble: Trouble,
    /// Records that were too large since the start, and what is wrong with the last one.
    not_kept: AtomicU64,
    last_not_kept: Trouble,
    /// Found by whoever read the log in this life.
    damages: Mutex<Vec<Damage>>,
    /// Records that the log does not have any more, in words.
    holes: Mutex<Vec<String>>,
    /// Whether the disk takes what was appended: a failure there stops nothing.
    pub sync: Arc<SyncStatus>,
    pub size: Arc<LogSize>,
}

impl SpoolStatus {
    /// Of a log that may hold records of earlier lives.
    pub fn new(spool: &Spool) -> SpoolStatus {
        let seq = AtomicU64::new(spool.next_seq() - 1);
        SpoolStatus { seq, sync: spool.sync_status(), size: spool.size(), ..SpoolStatus::default() }
    }

    pub fn note_appended(&self, seq: u64) {
        self.seq.store(seq, Relaxed);
        if self.trouble.clear() {
            log::info!(event = Event::SpoolBack, seq; "the spool takes records again, from record {seq} on");
        }
    }

    /// Logs the first failure of a row of them.
    pub fn note_failure(&self, error: &SpoolError, at: Timestamp) {
        if self.trouble.get().is_none() {
            let event = match error {
                SpoolError::Full { .. } => Event::DiskFull,
                _ => Event::SpoolFailed,
            };
            log::error!(event, place = "spool", error:%; "since {at}: {error}");
        }
        self.trouble.set(error.to_string());
    }

    /// Logs a record that the log cannot hold.
    pub fn note_not_kept(&self, error: &SpoolError) {
        log::error!(event = Event::RecordNotKept, error:%; "{error}");
        self.not_kept.fetch_add(1, Relaxed);
        self.last_not_kept.set(error.to_string());
    }

    /// In words; `None` if every record was kept since the start.
    pub fn not_kept(&self) -> Option<String> {
        let last = self.last_not_kept.get()?;
        Some(format!(
            "{} records since the start were not kept; the last one: {last}",
            self.not_kept.load(Relaxed)
        ))
    }

    /// Logs each part of the log once, however often it is read.
    /// Whether it is new.
    pub fn note_damage(&self, damage: &Damage) -> bool {
        let mut damages = self.damages.lock().unwrap_or_else(PoisonError::into_inner);
        if damages.iter().any(|known| (&known.path, known.from) == (&damage.path, damage.from)) {
            return false;
        }
        log::error!(
            event = Event::SpoolDamaged, path:% = damage.path.display(), from = damage.from;
            "a part of the log is lost: {damage}"
        );
        damages.push(damage.clone());
        true
    }

    /// In words; `None` if no part of the log was found to be lost.
    pub fn damage(&self) -> Option<String> {
        let damages = self.damages.lock().unwrap_or_else(PoisonError::into_inner);
        let first = damages.first()?;
        let more = match damages.len() {
            1 => String::new(),
            count => format!("; {} further parts too", count - 1),
        };
        Some(format!("a part of the log is lost: {first}{more}"))
    }

    /// Logs each hole once, however often the log is read. Whether it is new.
    fn note_hole(&self, hole: String) -> bool {
        let mut holes = self.holes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !holes.contains(&hole);
        if is_new {
            log::error!(event = Event::SpoolIncomplete; "{hole}");
            holes.push(hole);
        }
        is_new
    }

    /// What the log was found to lack when it was read.
    pub fn holes(&self) -> Vec<String> {
        self.holes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    pub fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }
}

/// How far the record in SQL is, and what it suffers from.
#[derive(Debug, Default)]
pub struct StoreStatus {
    seq: AtomicU64,
    rows: AtomicU64,
    rows_handed_over: AtomicU64,
    last_commit_us: AtomicI64,
    trouble: Trouble,
}

impl StoreStatus {
    /// Of a store that contains what a life before wrote.
    pub fn new(checkpoint: Option<Checkpoint>) -> StoreStatus {
        let seq = checkpoint.map_or(0, |checkpoint| checkpoint.spool_seq);
        StoreStatus { seq: AtomicU64::new(seq), ..StoreStatus::default() }
    }

    /// The recorder gave this many rows to the writer.
    pub fn note_handed_over(&self, rows: usize) {
        self.rows_handed_over.fetch_add(rows as u64, Relaxed);
    }

    pub fn note_written(&self, checkpoint: Option<Checkpoint>, rows: usize, at: Timestamp) {
        if let Some(checkpoint) = checkpoint {
            self.seq.store(checkpoint.spool_seq, Relaxed);
        }
        self.rows.fetch_add(rows as u64, Relaxed);
        self.last_commit_us.store(at.as_us(), Relaxed);
        if self.trouble.clear() {
            let seq = self.seq();
            log::info!(event = Event::StoreBack, seq; "the store takes rows again, up to record {seq}");
        }
    }

    pub fn last_commit(&self) -> Option<Timestamp> {
        Some(self.last_commit_us.load(Relaxed)).filter(|us| *us != 0).map(Timestamp::from_us)
    }

    pub fn pending_rows(&self) -> u64 {
        self.rows_handed_over.load(Relaxed).saturating_sub(self.rows.load(Relaxed))
    }

    /// Logs the first failure of a row of them.
    pub fn note_failure(&self, class: ErrorClass, error: &impl std::fmt::Display) {
        if self.trouble.get().is_none() {
            let event = match class {
                ErrorClass::Retry => Event::StoreAway,
                ErrorClass::DiskFull => Event::DiskFull,
                ErrorClass::Stop | ErrorClass::Configuration => Event::StoreFailed,
            };
            log::error!(event, place = "store", error:%; "{error} ({class:?}; what was received stays in the spool until it can be written)");
        }
        self.trouble.set(error.to_string());
    }

    pub fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    pub fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }
}

/// Whether data keeps coming in session hours.
#[derive(Debug, Default)]
pub struct FreshnessStatus {
    staleness: Trouble,
}

impl FreshnessStatus {
    pub fn note(&self, staleness: Option<String>) {
        match staleness {
            Some(text) => self.staleness.set(text),
            None => {
                self.staleness.clear();
            }
        }
    }

    pub fn staleness(&self) -> Option<String> {
        self.staleness.get()
    }
}

/// What the pipeline did so far; stored by the pipeline once a drain.
#[derive(Debug, Default)]
pub struct PipelineStatus {
    pub records: AtomicU64,
    pub observations: AtomicU64,
    pub malformed: AtomicU64,
    pub unwatched: AtomicU64,
    pub stale_bodies: AtomicU64,
    /// Records of sources that another version writes.
    pub unknown_sources: AtomicU64,
    /// Code of the last of these sources; 0 while there is none.
    unknown_source: AtomicU8,
    /// Records left out since the start because they broke the pipeline.
    pub set_aside: AtomicU64,
    pub late: AtomicU64,
    pub outdated: AtomicU64,
    pub watched: AtomicU64,
    pub buckets_closed: AtomicU64,
    pub buckets_of_session: AtomicU64,
    /// Record number up to which everything is done, and shown by the others here. Stored last, by `Release`.
    pub seq: AtomicU64,
    /// Code of the provider whose values count; 0 while no feed is up.
    active_provider: AtomicU8,
    /// Code of the last provider whose values counted; 0 before the first.
    last_active_provider: AtomicU8,
    /// Code of the provider that an operator forced; 0 for none.
    forced_provider: AtomicU8,
    session_open_us: AtomicI64,
    session_close_us: AtomicI64,
    last_error: Mutex<Option<String>>,
    lacks: Mutex<Lacks>,
}

impl PipelineStatus {
    /// Logs a switch from one provider to another.
    pub fn set_active_provider(&self, provider: Option<Provider>) {
        self.active_provider.store(provider.map_or(0, Provider::code), Relaxed);
        let Some(provider) = provider else { return };
        // Loaded first: this is called for every drain.
        if self.last_active_provider.load(Relaxed) == provider.code() {
            return;
        }
        let last = self.last_active_provider.swap(provider.code(), Relaxed);
        if let Some(previous) = Provider::from_code(last) {
            log::info!(
                event = Event::ProviderSwitched, provider:%, previous:%;
                "the values of {provider} count, no longer those of {previous}"
            );
        }
    }

    pub fn set_forced_provider(&self, provider: Option<Provider>) {
        self.forced_provider.store(provider.map_or(0, Provider::code), Relaxed);
    }

    /// The provider that an operator forced, as far as the pipeline has come; it may be down.
    pub fn forced_provider(&self) -> Option<Provider> {
        Provider::from_code(self.forced_provider.load(Relaxed))
    }

    /// The provider whose values count; `None` while no feed is up.
    pub fn active_provider(&self) -> Option<Provider> {
        Provider::from_code(self.active_provider.load(Relaxed))
    }

    pub fn set_session(&self, session: Option<(Timestamp, Timestamp)>) {
        let (open_us, close_us) = session.map_or((0, 0), |(open, close)| (open.as_us(), close.as_us()));
        self.session_open_us.store(open_us, Relaxed);
        self.session_close_us.store(close_us, Relaxed);
    }

    /// Today's open and close; `None` on a day without a session or before the first record of a day.
    pub fn session(&self) -> Option<(Timestamp, Timestamp)> {
        let (open_us, close_us) = (self.session_open_us.load(Relaxed), self.session_close_us.load(Relaxed));
        (close_us != 0).then(|| (Timestamp::from_us(open_us), Timestamp::from_us(close_us)))
    }

    /// Chains without a witness, and what has been wrong with a provider's data lately. Logs when problems begin, and the news
    /// of the day as a whole.
    pub fn set_lacks(&self, lacks: Lacks) {
        let mut known = self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
        if known.problems.is_empty() && !lacks.problems.is_empty() {
            log::warn!("the record lacks evidence: {}", lacks.problems.join("; "));
        }
        for news in &lacks.news {
            log::warn!("{news}");
        }
        *known = lacks;
    }

    pub fn lacks(&self) -> Lacks {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_unknown_source(&self, source: Option<Source>) {
        self.unknown_source.store(source.map_or(0, Source::code), Relaxed);
    }

    pub fn unknown_source(&self) -> Option<Source> {
        Some(self.unknown_source.load(Relaxed)).filter(|code| *code != 0).map(Source::from_code)
    }

    pub fn set_last_error(&self, error: &Option<String>) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != *error {
            last.clone_from(error);
        }
    }

    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_shows_what_it_contained_at_the_start() {
        assert_eq!(StoreStatus::new(None).seq(), 0);
        let date = crate::market::TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let status = StoreStatus::new(Some(Checkpoint { session_date: date, spool_seq: 4_711 }));
        assert_eq!((status.seq(), status.last_commit()), (4_711, None));
    }

    #[test]
    fn a_refused_reload_does_not_make_a_restart_needless() {
        let status = ReloadStatus::default();
        status.note_read(vec!["watch".to_owned(), "store.url".to_owned()]);
        status.note_refused(&"clock.pace: unknown key");
        assert!(status.needs_restart());
        assert!(
            status.waiting().is_some_and(|text| text.contains("of watch, store.url waits for a restart"))
        );
        status.note_read(Vec::new());
        assert!(!status.needs_restart());
        assert_eq!(status.waiting(), None);
        assert_eq!(status.refusal(), None);
    }
}
