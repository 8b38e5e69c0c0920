//! Where received bytes enter: into the log first, then into the pipeline's port, in one order.
//!
//! Invariants: a record is in the log before it is in the port; both have the same order, because both happen under
//! one lock; while the port is full or the disk is, the feed waits and so stops reading its socket.
//!
//! While a record waits for space on the disk, nothing overtakes it: a clock's small mark may fit where a chain's body
//! does not, and time that passes in the log says that somebody watched. Once there is space, the log says that the
//! feeds were not watched meanwhile.
//!
//! A record larger than the log can hold is not kept: the log says that its feed was not watched until then.
//!
//! A feed that broke off tells nothing of its end. The next record, whoever brings it, is preceded by a mark that says
//! since when nobody watched, see [`Vigil`].

use super::{day_rules::RunningRules, status::DaemonStatus, vigil::Vigil};
use crate::{
    actor::{Lease, Port, Producer},
    clock::{self, Clock},
    feed::{NotAccepted, RecordSink},
    market::{Provider, Timestamp, TradingDate},
    spool::{Mark, NewRecord, Record, Spool, SpoolError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How often a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// The log and the port behind it. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    log: Arc<Mutex<Log>>,
    /// Held over waits for space; the lock on the log never is.
    turn: Arc<Turn>,
    /// By which a day that begins is judged.
    rules: RunningRules,
    port: Port<Record>,
    clock: Clock,
    status: Arc<DaemonStatus>,
}

struct Log {
    spool: Spool,
    /// Providers whose last mark says "up".
    up: BTreeSet<Provider>,
    /// Parts whose last mark says "down", with the reason. The log repeats them whenever it says that their provider is up.
    parts_down: BTreeMap<(Provider, String), String>,
    /// The same of streams.
    streams_down: BTreeMap<(Provider, u8), String>,
    /// The provider that the last order forces.
    forced: Option<Provider>,
    /// Of each provider's last incarnation.
    vigils: BTreeMap<Provider, Vigil>,
    /// The last day whose log says at its beginning who is forced and who is up, so that it can be replayed alone.
    begun: TradingDate,
    /// Until the log has told everything about it.
    full: Option<Full>,
}

/// A time in which the disk has no space.
struct Full {
    since: Timestamp,
    /// Providers of which the log says that they are not watched.
    told: BTreeSet<Provider>,
}

/// What became of a record.
enum Tried {
    Kept,
    /// The log is as it was; it may be tried again.
    NoSpace(NewRecord),
    TooLarge,
}

impl Log {
    /// A feed that is down ends what was said of its parts.
    fn note_down(&mut self, provider: Provider) {
        self.up.remove(&provider);
        self.parts_down.retain(|(of, _), _| *of != provider);
        self.streams_down.retain(|(of, _), _| *of != provider);
    }

    /// What says again that a provider is up: which of its parts and streams are not, first.
    fn up_again(&self, provider: Provider) -> Vec<Mark> {
        let of_provider = self.parts_down.iter().filter(|((of, _), _)| *of == provider);
        let down = of_provider.map(|((_, part), reason)| Mark::part_down(provider, part, reason));
        let lost = self.streams_down.iter().filter(|((of, _), _)| *of == provider);
        let lost = lost.map(|((_, stream), reason)| Mark::stream_down(provider, *stream, reason));
        down.chain(lost).chain([Mark::feed_up(provider)]).collect()
    }
}

/// Who may append. A holder that was given up loses it: its thread may never come back to give it up itself.
#[derive(Default)]
struct Turn {
    holder: Mutex<Holder>,
    freed: Notify,
}

#[derive(Default)]
struct Holder {
    /// Counts the turns.
    number: u64,
    lease: Option<Lease>,
}

/// How often a waiting feed looks whether the holder was given up, of which nobody tells.
const TURN_LOOK: Duration = Duration::from_millis(20);

impl Turn {
    async fn take(&self, lease: &Lease) -> TurnGuard<'_> {
        let mut waiting = None;
        loop {
            let freed = self.freed.notified();
            {
                let mut holder = self.holder();
                if holder.lease.as_ref().is_none_or(|holder| !holder.is_current()) {
                    holder.number += 1;
                    holder.lease = Some(lease.clone());
                    return TurnGuard { turn: self, number: holder.number };
                }
            }
            waiting.get_or_insert_with(|| lease.pulse().wait());
            // A free turn that went unheard costs one look.
            let _ = tokio::time::timeout(TURN_LOOK, freed).await;
        }
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TurnGuard<'a> {
    turn: &'a Turn,
    number: u64,
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        let mut holder = self.turn.holder();
        if holder.number == self.number {
            holder.lease = None;
            self.turn.freed.notify_one();
        }
    }
}

/// What the log says of a feed that broke off.
const BROKE_OFF_REASON: &str = "the feed panicked, hung or failed";
/// What the log says of a time in which nothing could be appended.
const FULL_REASON: &str = "there was no space left for the spool";
/// What the log says of a feed's record that it could not hold.
const TOO_LARGE_REASON: &str = "a record was larger than the spool can hold";

/// What the log says already of this life of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    pub date: TradingDate,
    pub forced: Option<Provider>,
}

impl Intake {
    pub fn new(
        spool: Spool,
        beginning: Beginning,
        rules: RunningRules,
        port: Port<Record>,
        clock: Clock,
        status: Arc<DaemonStatus>,
    ) -> Intake {
        let Beginning { date: begun, forced } = beginning;
        let (up, parts_down, vigils) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let streams_down = BTreeMap::new();
        let log = Log { spool, up, parts_down, streams_down, forced, vigils, begun, full: None };
        let log = Arc::new(Mutex::new(log));
        Intake { log, turn: Arc::default(), rules, port, clock, status }
    }

    /// The entrance for one incarnation of a child that watches nothing.
    pub fn sink(&self, lease: &Lease) -> IntakeSink {
        IntakeSink {
            intake: self.clone(),
            producer: self.port.producer(lease),
            lease: lease.clone(),
            vigil: None,
        }
    }

    /// The entrance for one incarnation of a feed, and its vigil, which must be kept over all its work. The log is told of
    /// the end of the incarnation before.
    ///
    /// # Errors
    /// When the log takes nothing more.
    pub async fn admit(&self, provider: Provider, lease: &Lease) -> Result<(IntakeSink, Vigil), NotAccepted> {
        let mut sink = self.sink(lease);
        {
            let _turn = self.turn.take(lease).await;
            let now = self.clock.now();
            sink.begin_day(now).await?;
            // Given up or not: it is followed.
            sink.tell_down(&[provider].into(), now, BROKE_OFF_REASON).await?;
        }
        let vigil = Vigil::begin(self.clock.clone(), lease.clone());
        self.log().vigils.insert(provider, vigil.clone());
        sink.vigil = Some(vigil.clone());
        Ok((sink, vigil))
    }

    /// The log's last receive time: none will be earlier.
    pub fn last_received(&self) -> Timestamp {
        self.log().spool.last_received()
    }

    /// Has the log forced onto the disk, without waiting for it.
    pub fn flush_soon(&self) {
        self.log().spool.flush_soon();
    }

    /// A panic under the lock leaves at most an unfinished record, which the next append or start cuts.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Intake::sink`] and [`Intake::admit`].
#[derive(Clone)]
pub struct IntakeSink {
    intake: Intake,
    producer: Producer<Record>,
    lease: Lease,
    /// A feed's.
    vigil: Option<Vigil>,
}

impl IntakeSink {
    /// Appends a record and waits for space as long as it takes; a mark goes along as `mark` to be taken note of in its
    /// order.
    async fn put(&self, record: NewRecord, mark: Option<&Mark>) -> Result<(), NotAccepted> {
        let _turn = self.intake.turn.take(&self.lease).await;
        self.begin_day(record.received_time).await?;
        let (received, provider) = (record.received_time, record.source.provider());
        self.tell_broken_off(received).await?;
        if !self.append(record).await?
            && let Some(provider) = provider
        {
            self.tell_lost(provider, received).await?;
        }
        {
            let mut log = self.intake.log();
            match mark {
                Some(Mark::FeedUp { provider }) => log.up.extend(provider.parse::<Provider>()),
                Some(Mark::FeedDown { provider, .. }) => {
                    provider.parse().into_iter().for_each(|provider| log.note_down(provider));
                }
                Some(Mark::PartDown { provider, part, reason, .. }) => {
                    let named = provider.parse().map(|provider| ((provider, part.clone()), reason.clone()));
                    log.parts_down.extend(named);
                }
                Some(Mark::PartUp { provider, part }) => {
                    log.parts_down.retain(|(of, down), _| of.name() != provider || down != part);
                }
                Some(Mark::StreamDown { provider, stream, reason, .. }) => {
                    let lost = provider.parse().map(|provider| ((provider, *stream), reason.clone()));
                    log.streams_down.extend(lost);
                }
                Some(Mark::StreamUp { provider, stream }) => {
                    log.streams_down.retain(|(of, lost), _| of.name() != provider || lost != stream);
                }
                Some(Mark::Failover { to }) => {
                    log.forced = to.as_ref().and_then(|provider| provider.parse().ok());
                }
                Some(Mark::Started { .. }) => {
                    (log.up, log.forced) = (BTreeSet::new(), None);
                    log.parts_down.clear();
                    log.streams_down.clear();
                }
                Some(Mark::Clock { .. } | Mark::ClockSet { .. } | Mark::Rules { .. } | Mark::Stopped)
                | None => {}
            }
        }
        self.end_full().await
    }

    /// Says before anything else of the day which feeds broke off, and since when. Needs the turn.
    async fn tell_broken_off(&self, received: Timestamp) -> Result<(), NotAccepted> {
        let broken_off: BTreeSet<Provider> = {
            let log = self.intake.log();
            let is_over = |provider: &&Provider| log.vigils.get(provider).is_some_and(Vigil::is_over);
            log.up.iter().filter(is_over).copied().collect()
        };
        self.tell_down(&broken_off, received, BROKE_OFF_REASON).await
    }

    /// A record of this provider is not kept: it has watched from now on, and until what it had handed over before. Needs
    /// the turn.
    async fn tell_lost(&self, provider: Provider, received: Timestamp) -> Result<(), NotAccepted> {
        if !self.intake.log().up.contains(&provider) {
            return Ok(());
        }
        let (again, parts_down, streams_down) = {
            let log = self.intake.log();
            (log.up_again(provider), log.parts_down.clone(), log.streams_down.clone())
        };
        self.tell_down(&[provider].into(), received, TOO_LARGE_REASON).await?;
        for mark in again {
            self.append(NewRecord::mark(received, &mark)).await?;
        }
        let mut log = self.intake.log();
        log.up.insert(provider);
        (log.parts_down, log.streams_down) = (parts_down, streams_down);
        Ok(())
    }

    /// Marks those of `providers` that are up as down since the end of their vigils. What others said of their parts on
    /// the way up is taken back. Needs the turn.
    async fn tell_down(
        &self,
        providers: &BTreeSet<Provider>,
        received: Timestamp,
        reason: &str,
    ) -> Result<(), NotAccepted> {
        for provider in providers {
            let since = {
                let log = self.intake.log();
                let is_up = log.up.contains(provider);
                is_up.then(|| log.vigils.get(provider).map_or(received, Vigil::watched_until))
            };
            let Some(since) = since else {
                let parts: Vec<String> = {
                    let log = self.intake.log();
                    log.parts_down
                        .keys()
                        .filter(|(of, _)| of == provider)
                        .map(|(_, part)| part.clone())
                        .collect()
                };
                for part in parts {
                    self.append(NewRecord::mark(received, &Mark::part_up(*provider, part))).await?;
                }
                self.intake.log().note_down(*provider);
                continue;
            };
            let mark = Mark::feed_down(*provider, reason).since(since);
            self.append(NewRecord::mark(received.max(since), &mark)).await?;
            self.intake.log().note_down(*provider);
        }
        Ok(())
    }

    /// Adds to a mark what the vigils know.
    fn complete(&self, mark: Mark) -> Mark {
        match mark {
            Mark::Clock { .. } => {
                let log = self.intake.log();
                let watched =
                    |provider: &Provider| Some((*provider, log.vigils.get(provider)?.watched_until()));
                let parts_down = log.parts_down.keys().cloned();
                Mark::clock(log.up.iter().filter_map(watched)).with_parts_down(parts_down)
            }
            Mark::FeedDown { .. } | Mark::StreamDown { .. } => match &self.vigil {
                Some(vigil) => mark.since(vigil.watched_until()),
                None => mark,
            },
            Mark::FeedUp { .. } => {
                self.vigil.iter().for_each(Vigil::forgive_loss);
                mark
            }
            Mark::Started { .. }
            | Mark::ClockSet { .. }
            | Mark::Stopped
            | Mark::PartDown { .. }
            | Mark::PartUp { .. }
            | Mark::Failover { .. }
            | Mark::Rules { .. }
            | Mark::StreamUp { .. } => mark,
        }
    }

    /// Whether the record is kept: one that is too large is not. Needs the turn. What was begun by a full disk is ended by
    /// [`Self::end_full`].
    async fn append(&self, mut record: NewRecord) -> Result<bool, NotAccepted> {
        loop {
            if self.tell_unwatched().await? {
                match self.try_append(record).await? {
                    Tried::Kept => return Ok(true),
                    Tried::TooLarge => return Ok(false),
                    Tried::NoSpace(same) => record = same,
                }
            }
            self.wait_for_space().await;
        }
    }

    /// Nobody has been watched since the disk is full: a feed that waits does not read. Told before anything that
    /// would let time pass. False if there is no space for it yet.
    async fn tell_unwatched(&self) -> Result<bool, NotAccepted> {
        loop {
            let next = {
                let log = self.intake.log();
                log.full.as_ref().and_then(|full| {
                    let provider = log.up.iter().find(|provider| !full.told.contains(provider))?;
                    Some((full.since, *provider))
                })
            };
            let Some((since, provider)) = next else { return Ok(true) };
            let down = NewRecord::mark(since, &Mark::feed_down(provider, FULL_REASON));
            if let Tried::NoSpace(_) = self.try_append(down).await? {
                return Ok(false);
            }
            if let Some(full) = &mut self.intake.log().full {
                full.told.insert(provider);
            }
        }
    }

    /// Says after a full disk that the feeds are watched again; they themselves know nothing of it.
    async fn end_full(&self) -> Result<(), NotAccepted> {
        if self.intake.log().full.is_none() {
            return Ok(());
        }
        // The wait may have reached into the next day.
        self.begin_day(self.intake.clock.now()).await?;
        loop {
            let next = {
                let mut log = self.intake.log();
                let next = log.full.as_mut().and_then(|full| full.told.pop_first());
                match next {
                    Some(provider) => {
                        let is_up = log.up.contains(&provider);
                        is_up.then(|| log.up_again(provider))
                    }
                    None => {
                        log.full = None;
                        return Ok(());
                    }
                }
            };
            let Some(marks) = next else { continue };
            for mark in marks {
                let again = || NewRecord::mark(self.intake.clock.now(), &mark);
                while let Tried::NoSpace(_) = self.try_append(again()).await? {
                    self.wait_for_space().await;
                }
            }
        }
    }

    async fn wait_for_space(&self) {
        let _waiting = self.lease.pulse().wait();
        tokio::time::sleep(FULL_DISK_RETRY).await;
    }

    async fn try_append(&self, mut record: NewRecord) -> Result<Tried, NotAccepted> {
        self.intake.status.clock.note_record(&record);
        let refused = |reason: &dyn std::fmt::Display| NotAccepted { reason: reason.to_string() };
        let permit = self.producer.reserve().await.map_err(|error| refused(&error))?;
        let error = {
            let mut log = self.intake.log();
            // Whoever was given up appends nothing. Whoever is given up from here on has brought this record: what is in
            // the log is in the port, in the same order.
            let claim = permit.claim().map_err(|error| refused(&error))?;
            match log.spool.append(&mut record) {
                Ok(seq) => {
                    claim.push(record.numbered(seq));
                    self.intake.status.spool.note_appended(seq);
                    return Ok(Tried::Kept);
                }
                Err(error @ SpoolError::TooLarge { .. }) => {
                    self.intake.status.spool.note_not_kept(&error);
                    return Ok(Tried::TooLarge);
                }
                Err(error @ SpoolError::Full { .. }) => {
                    let since = self.intake.clock.now();
                    log.full.get_or_insert(Full { since, told: BTreeSet::new() });
                    error
                }
                Err(error) => error,
            }
        };
        self.intake.status.spool.note_failure(&error, clock::real_now());
        match error {
            SpoolError::Full { .. } => Ok(Tried::NoSpace(record)),
            other => Err(refused(&other)),
        }
    }

    /// Says at the head of a new day by which rules it is judged, and repeats which provider is forced and which are up. A
    /// caller that is given up halfway leaves it to the next one: nothing of it does harm when it is said twice. Needs the
    /// turn.
    async fn begin_day(&self, received: Timestamp) -> Result<(), NotAccepted> {
        let date = received.date_ist();
        let again: Vec<Mark> = {
            let log = self.intake.log();
            if log.begun >= date {
                return Ok(());
            }
            let rules = Mark::Rules { rules: self.intake.rules.of(date) };
            let order = log.forced.map(|provider| Mark::failover(Some(provider)));
            let head = [rules].into_iter().chain(order);
            head.chain(log.up.iter().flat_map(|provider| log.up_again(*provider))).collect()
        };
        for mark in again {
            self.append(NewRecord::mark(received, &mark)).await?;
        }
        self.intake.log().begun = date;
        Ok(())
    }

    /// The provider that the log's last order forces.
    pub fn forced(&self) -> Option<Provider> {
        self.intake.log().forced
    }
}

impl RecordSink for IntakeSink {
    async fn accept(&self, record: NewRecord) -> Result<(), NotAccepted> {
        let handed_over = self.vigil.as_ref().map(Vigil::hand_over);
        self.put(record, None).await?;
        if let Some(handed_over) = handed_over {
            handed_over.accepted();
        }
        Ok(())
    }

    async fn mark(&self, mark: Mark) -> Result<(), NotAccepted> {
        let mark = self.complete(mark);
        let record = NewRecord::mark(self.intake.clock.now(), &mark);
        self.put(record, Some(&mark)).await
    }
}

#[cfg(test)]
mod tests;
