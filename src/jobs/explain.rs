//! Why a bucket's row states what it does: the day's log is worked off again, and one contract's evidence is looked at
//! between every two records.
//!
//! Owns a pipeline of its own and writes nothing. What the row states, and when it came to, is what the replay gives; the
//! store's row is held against it. Which record proved a provider's values is known by looking before and after each: so the
//! recording itself notes nothing for this.
//!
//! Left out: rows of underlyings, deltas and candles.

use super::{
    day_log::DayLog,
    replay::{JudgedBy, VerifyError, begin_replay, name_loss},
};
use crate::{
    actor::Pulse,
    engine::{EndEvidence, EndProof, Observation, OiContradiction},
    market::{
        Bucket, BucketRow, Contract, Delivery, InstrumentId, InstrumentKind, Provider, Timestamp, TradingDate,
    },
    pipeline::{NoLive, Pipeline, PipelineSettings},
    spool::{Record, Source, SpoolError},
    store::{Batch, GapRow, InstrumentRow, Reader, StoreError},
    wire::SourceShape,
};
use std::path::Path;

/// Names that are told where none is known.
const NEAREST_MAX: usize = 3;

/// Whose row, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainQuestion {
    pub contract: Contract,
    pub date: TradingDate,
    /// The bucket that contains this instant, or that ends with it where the session does; `None`: the last one that is over.
    pub at: Option<Timestamp>,
    /// What the clock shows.
    pub now: Timestamp,
}

/// Why a row cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// `nearest`: contracts of that day with the most alike names.
    #[error("the store knows no contract {contract:?} on {date}; nearest are {}", list(nearest))]
    UnknownContract { contract: String, date: TradingDate, nearest: Vec<String> },
    /// `lost`: what the log lost, in words, if anything.
    #[error(
        "the log of {date} does not name {contract}: {}",
        lost.as_deref().unwrap_or("it was not watched then; ask for another --date")
    )]
    NotRecorded { contract: String, date: TradingDate, lost: Option<String> },
    #[error("the log of {date} has no session: {}", lost.as_deref().unwrap_or("give a day that has one"))]
    NoSession { date: TradingDate, lost: Option<String> },
    #[error(
        "{} lies outside the session of {date}, {} to {}; give a time within it",
        at.to_ist().format("%H:%M:%S"), open.to_ist().format("%H:%M"), close.to_ist().format("%H:%M")
    )]
    OutsideSession { at: Timestamp, date: TradingDate, open: Timestamp, close: Timestamp },
    #[error("no bucket of {date} is over yet; ask after {}", first_end.to_ist().format("%H:%M"))]
    NothingOver { date: TradingDate, first_end: Timestamp },
    #[error(
        "the bucket from {} of {date} has not begun: nothing is known of it; ask after that",
        start.to_ist().format("%H:%M")
    )]
    NotBegun { date: TradingDate, start: Timestamp },
    #[error("{contract} is not traded any more from {} on; give a time before", close.to_ist().format("%H:%M"))]
    AfterClose { contract: String, close: Timestamp },
    #[error(transparent)]
    Replay(#[from] VerifyError),
}

impl From<SpoolError> for ExplainError {
    fn from(error: SpoolError) -> ExplainError {
        ExplainError::Replay(error.into())
    }
}

impl From<StoreError> for ExplainError {
    fn from(error: StoreError) -> ExplainError {
        ExplainError::Replay(error.into())
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordAt {
    pub seq: u64,
    pub received: Timestamp,
}

/// What proves that a provider's values hold at a bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The stream's next packet of the contract, with its stamp.
    Packet { stamp: Timestamp },
    /// The stream went on to bring data until then.
    Stream { until: Timestamp },
    /// A body that contains the contract, with its stamp; `is_bridged`: a body or an answer with other values than those before,
    /// which are no further back than the channel's cadence.
    Body { stamp: Timestamp, is_bridged: bool },
    /// The answer to a request, which holds as of then.
    Answer { until: Timestamp },
    /// Another provider showed the same values then.
    Agreement { with: Provider, at: Timestamp },
    /// What the log says of time or of feeds.
    Mark { until: Timestamp },
}

impl Witness {
    /// It holds values to the precision of the channel's cadence alone.
    fn is_bridged(&self) -> bool {
        matches!(self, Witness::Body { is_bridged: true, .. })
    }
}

/// One provider's part in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProviderEvidence {
    pub provider: Provider,
    pub is_recorded: bool,
    /// What it said last before the bucket's end, and the record that brought it.
    pub value: Option<(Observation, RecordAt)>,
    /// What proves it, and the record that did.
    pub witness: Option<(Witness, RecordAt)>,
    /// Up to when the values are proved, where they are not up to the bucket's end.
    pub reach: Timestamp,
    /// What another provider shows against its open interest.
    pub contradiction: Option<OiContradiction>,
}

/// A row as it was stated by a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub record: RecordAt,
    pub row: BucketRow,
    /// What was known once the record was worked off; only providers that had said something.
    pub evidence: Vec<ProviderEvidence>,
}

/// How the store's row stands to the replayed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    Equal,
    /// The store is not as far as the log yet: its row is the one before.
    Behind,
    Different,
}

/// Everything that is known of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub bucket: Bucket,
    /// The bucket's end, or that of the contract's trading within it.
    pub end: Timestamp,
    /// The row and those before it, the first first; empty while it waits for proof.
    pub statements: Vec<Statement>,
    /// What is known by the last record, of a row that is not stated yet.
    pub evidence: Vec<ProviderEvidence>,
    /// Spans before the bucket's end in which a provider did not cover the contract, from the last proof on: those that ended.
    pub gaps: Vec<GapRow>,
    /// Those that last: they count up to the close.
    pub open_gaps: Vec<GapRow>,
    /// Up to when anything is proved of the contract, of those values that were said before the end.
    pub known_until: Option<Timestamp>,
    pub judged_by: JudgedBy,
    pub stored: Option<BucketRow>,
    pub agreement: Agreement,
    pub records: u64,
    /// Parts of the log that are lost, in words.
    pub damages: Vec<String>,
}

/// Looks at one contract's evidence for one bucket between records.
#[derive(Debug)]
struct Observer {
    contract: Contract,
    bucket: Bucket,
    /// By provider.
    known: [Option<ProviderEvidence>; Provider::ALL.len()],
    statements: Vec<Statement>,
    gaps: Vec<GapRow>,
}

impl Observer {
    fn new(contract: Contract, bucket: Bucket) -> Observer {
        let known = [None; Provider::ALL.len()];
        Observer { contract, bucket, known, statements: Vec::new(), gaps: Vec::new() }
    }

    /// After a record was worked off, with the rows that it gave.
    fn look(&mut self, pipeline: &Pipeline, record: &Record, batch: &mut Batch) {
        self.gaps.append(&mut batch.gaps);
        let Some((instrument, slot)) = pipeline.slot_of(&self.contract) else { return };
        let Some(day) = pipeline.day() else { return };
        let at = RecordAt { seq: record.seq, received: record.received_time };
        for provider in Provider::ALL {
            if let Some(evidence) = day.end_evidence(slot, self.bucket, provider) {
                let known = &mut self.known[provider.index()];
                *known = Some(follow(known.as_ref(), &evidence, record.source, at));
            }
        }
        self.note_rows(instrument, at, batch);
    }

    /// What a store that the log fills takes of the rows that a record gave.
    fn note_rows(&mut self, instrument: InstrumentId, at: RecordAt, batch: &Batch) {
        let rows = batch.bucket_rows(instrument, self.bucket, !self.statements.is_empty());
        let stated = |row: &BucketRow| Statement { record: at, row: *row, evidence: self.evidence() };
        let stated: Vec<Statement> = rows.map(stated).collect();
        self.statements.extend(stated);
    }

    fn evidence(&self) -> Vec<ProviderEvidence> {
        self.known.iter().flatten().copied().collect()
    }
}

/// Whether both are what one record said: what they count as may change without it, as at a loss.
fn is_as_said(before: &Observation, now: &Observation) -> bool {
    let values = |of: &Observation| (of.open_interest(), of.last_price(), of.volume());
    let times = |of: &Observation| (of.event_time(), of.received_time());
    times(before) == times(now) && values(before) == values(now)
}

/// What is known of a provider after a record, by what was known before it.
fn follow(
    before: Option<&ProviderEvidence>,
    now: &EndEvidence,
    source: Source,
    at: RecordAt,
) -> ProviderEvidence {
    let said_before = before.and_then(|before| before.value);
    let value = now.value.map(|value| match said_before {
        Some((known, said)) if is_as_said(&known, &value) => (value, said),
        _ => (value, at),
    });
    let is_same_trade =
        said_before.map(|(known, _)| known.volume()) == value.map(|(value, _)| value.volume());
    // What was bridged may be proved wholly by a later record.
    let is_bridged = now.proof == EndProof::Bridged;
    let is_as_before =
        |(witness, _): &(Witness, RecordAt)| is_same_trade && witness.is_bridged() == is_bridged;
    let proved_before = before.and_then(|before| before.witness).filter(is_as_before);
    let witness = match now.proof {
        EndProof::None => None,
        EndProof::Bridged | EndProof::Full => {
            Some(proved_before.unwrap_or_else(|| (witness(now, source), at)))
        }
    };
    // The reach of what was said before the end; that of later values is none of its business.
    let reach = match (now.next, before) {
        (None, _) => now.reach,
        (Some(_), Some(before)) => before.reach,
        (Some(_), None) => value.map_or(Timestamp::NEVER, |(value, _)| value.event_time()),
    };
    let EndEvidence { provider, is_recorded, contradiction, .. } = *now;
    ProviderEvidence { provider, is_recorded, value, witness, reach, contradiction }
}

/// What a record proves by what it is.
fn witness(now: &EndEvidence, source: Source) -> Witness {
    if now.proof == EndProof::Bridged {
        return Witness::Body { stamp: now.next.unwrap_or(now.reach), is_bridged: true };
    }
    match (source.shape(), source.provider()) {
        (Some(SourceShape::Values(Delivery::Stream)), Some(provider)) if provider == now.provider => {
            match now.next {
                Some(stamp) => Witness::Packet { stamp },
                None => Witness::Stream { until: now.reach },
            }
        }
        (Some(SourceShape::Values(Delivery::Chain)), Some(provider)) if provider == now.provider => {
            Witness::Body { stamp: now.next.unwrap_or(now.reach), is_bridged: false }
        }
        (_, Some(provider)) if provider == now.provider => {
            Witness::Answer { until: now.next.unwrap_or(now.reach).min(now.reach) }
        }
        (_, Some(other)) => Witness::Agreement { with: other, at: now.reach },
        (_, None) => Witness::Mark { until: now.reach },
    }
}

/// Replays the day's log and tells of one row. May be dropped at any time. `pulse` is told of the progress.
///
/// # Errors
/// [`ExplainError`].
pub async fn explain_row(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    question: &ExplainQuestion,
    pulse: &Pulse,
) -> Result<Explanation, ExplainError> {
    let ExplainQuestion { contract, date, .. } = question;
    let date = *date;
    let reader = Reader::open(url).await?;
    let instruments = reader.instruments().await?;
    if !instruments.iter().any(|row| row.contract == *contract) {
        let nearest = nearest(contract, date, &instruments);
        return Err(ExplainError::UnknownContract { contract: contract.to_string(), date, nearest });
    }
    // Before the row: the store holds at least what the log gives up to here.
    let checkpoint = reader.checkpoint().await?.map_or(0, |checkpoint| checkpoint.spool_seq);
    let stored = reader.oi_history(contract, date).await?;
    let mut pipeline = begin_replay(&reader, settings, date).await?;
    drop(reader);
    let (mut batch, mut observer) = (Batch::new(date, 0), None);
    let mut log = DayLog::open(spool_directory, date, pulse)?;
    while let Some((record, _excused)) = log.next(&mut pipeline).await? {
        apply(&mut pipeline, &record, &mut batch, &mut observer, question)?;
    }
    let records = match log.records() {
        Ok(records) => records,
        Err(error) => return Err(name_loss(error, url).await.into()),
    };
    let (judged_by, damages) = (log.judged_by(&pipeline), log.losses());
    let Some(mut observer) = observer else {
        return Err(ExplainError::NoSession { date, lost: damages.first().cloned() });
    };
    let Some((_, slot)) = pipeline.slot_of(contract) else {
        let (contract, lost) = (contract.to_string(), damages.first().cloned());
        return Err(ExplainError::NotRecorded { contract, date, lost });
    };
    let bucket = observer.bucket;
    let end = pipeline.day().and_then(|day| day.end_of_bucket(slot, bucket)).unwrap_or(bucket.end());
    if end <= bucket.start() {
        return Err(ExplainError::AfterClose { contract: contract.to_string(), close: end });
    }
    let mut open_gaps = pipeline.open_gaps();
    let evidence = observer.evidence();
    if let Some(record) = log.record_after()? {
        let instrument = pipeline.slot_of(contract).map(|(instrument, _)| instrument);
        let at = RecordAt { seq: record.seq, received: record.received_time };
        pipeline.apply(&record, &mut NoLive, &mut batch);
        observer.gaps.append(&mut batch.gaps);
        open_gaps.clear();
        instrument.into_iter().for_each(|instrument| observer.note_rows(instrument, at, &batch));
    }
    let last = observer.statements.last();
    let known = last.map_or(&evidence, |statement| &statement.evidence);
    let known_until = known.iter().filter(|known| known.value.is_some()).map(|known| known.reach).max();
    let since = known_until.unwrap_or(Timestamp::NEVER).min(bucket.start());
    let stored = stored.into_iter().find(|row| row.bucket == bucket);
    Ok(Explanation {
        bucket,
        end,
        agreement: compare(&observer.statements, stored.as_ref(), checkpoint),
        evidence,
        gaps: touching(observer.gaps, contract, since, end),
        open_gaps: touching(open_gaps, contract, since, end),
        known_until,
        judged_by,
        stored,
        records,
        damages,
        statements: observer.statements,
    })
}

/// Works on one record, and looks at what became of it.
fn apply(
    pipeline: &mut Pipeline,
    record: &Record,
    batch: &mut Batch,
    observer: &mut Option<Observer>,
    question: &ExplainQuestion,
) -> Result<(), ExplainError> {
    let ExplainQuestion { contract, date, .. } = question;
    pipeline.apply(record, &mut NoLive, batch);
    if observer.is_none() && pipeline.day().is_some() {
        *observer = Some(Observer::new(contract.clone(), bucket_of(pipeline, question)?));
    }
    if let Some(observer) = observer {
        observer.look(pipeline, record, batch);
    }
    *batch = Batch::new(*date, batch.spool_seq);
    Ok(())
}

/// The bucket that is asked for.
fn bucket_of(pipeline: &Pipeline, question: &ExplainQuestion) -> Result<Bucket, ExplainError> {
    let ExplainQuestion { date, at, now, .. } = *question;
    let hours = pipeline.day().map(|day| day.hours()).filter(|hours| hours.date == date);
    let Some(hours) = hours else { return Err(ExplainError::NoSession { date, lost: None }) };
    let first = Bucket::containing(hours.open);
    let bucket = match at {
        // The session's last bucket ends with it.
        Some(at) if at == hours.close => Ok(Bucket::containing(at.plus_us(-1))),
        Some(at) if hours.open <= at && at < hours.close => Ok(Bucket::containing(at)),
        Some(at) => Err(ExplainError::OutsideSession { at, date, open: hours.open, close: hours.close }),
        None if now >= hours.close => Ok(Bucket::containing(hours.close.plus_us(-1))),
        None if now >= first.end() => Ok(Bucket::containing(now.plus_us(-Bucket::LENGTH_US))),
        None => Err(ExplainError::NothingOver { date, first_end: first.end() }),
    }?;
    if bucket.start() > now {
        return Err(ExplainError::NotBegun { date, start: bucket.start() });
    }
    Ok(bucket)
}

/// Gaps of whole providers and of the contract's chain between two instants, each once.
fn touching(gaps: Vec<GapRow>, contract: &Contract, since: Timestamp, end: Timestamp) -> Vec<GapRow> {
    let chain = contract.expiry().map(|expiry| format!("{} {expiry}", contract.underlying));
    let is_of_contract = |gap: &GapRow| gap.part.is_empty() || Some(&gap.part) == chain.as_ref();
    let mut touching: Vec<GapRow> =
        gaps.into_iter().filter(|gap| is_of_contract(gap) && gap.from < end && gap.to > since).collect();
    touching.sort_by(|a, b| (a.from, a.provider, &a.part).cmp(&(b.from, b.provider, &b.part)));
    // A row with the same key replaces the one before.
    touching.dedup_by(|later, kept| {
        let is_same = (later.from, later.provider, &later.part) == (kept.from, kept.provider, &kept.part);
        if is_same {
            std::mem::swap(later, kept);
        }
        is_same
    });
    touching
}

/// The store holds what the log gives up to `checkpoint` at least; it may hold more.
fn compare(statements: &[Statement], stored: Option<&BucketRow>, checkpoint: u64) -> Agreement {
    if statements.last().map(|statement| &statement.row) == stored {
        return Agreement::Equal;
    }
    let contained = statements.iter().filter(|statement| statement.record.seq <= checkpoint).count();
    let may_be = &statements[contained.saturating_sub(1)..];
    let is_behind = match stored {
        Some(stored) => may_be.iter().any(|statement| statement.row == *stored),
        None => contained == 0,
    };
    if is_behind { Agreement::Behind } else { Agreement::Different }
}

/// The contracts of a day with the most alike names: other strikes of the chain, else other expiries, else underlyings.
fn nearest(contract: &Contract, date: TradingDate, instruments: &[InstrumentRow]) -> Vec<String> {
    let is_listed = |row: &&InstrumentRow| row.first_seen <= date && date <= row.last_seen;
    let options =
        || instruments.iter().filter(is_listed).map(|row| &row.contract).filter(|of| of.is_option());
    let strike_e4 = |contract: &Contract| match contract.kind {
        InstrumentKind::Option { strike, .. } => strike.as_e4(),
        InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future { .. } => 0,
    };
    let option_type = |contract: &Contract| match contract.kind {
        InstrumentKind::Option { option_type, .. } => Some(option_type),
        InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future { .. } => None,
    };
    let days = |of: &Contract| {
        let days = of.expiry().zip(contract.expiry()).map(|(a, b)| (a - b).num_days().abs());
        days.unwrap_or(i64::MAX)
    };
    let distance = |of: &&Contract| {
        let is_other = of.underlying != contract.underlying;
        let is_other_side = option_type(of) != option_type(contract);
        (is_other, days(of), is_other_side, (strike_e4(of) - strike_e4(contract)).abs())
    };
    let mut found: Vec<&Contract> = options().collect();
    found.sort_by(|a, b| distance(a).cmp(&distance(b)).then_with(|| a.cmp(b)));
    found.into_iter().take(NEAREST_MAX).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
