//! Works a day's log off again, into a store of its own, and compares the two records of the day, table by table.

use super::day_log::{DayLog, rules_of};
use crate::{
    actor::Pulse,
    market::TradingDate,
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::{LostParts, Mark, NewRecord, SpoolError},
    store::{self, Batch, Birth, OpenStore, Reader, Store, StoreError},
};
use std::{cmp::Ordering, path::Path, time::Duration};

/// Differences told in words.
const DIFFERENCES_MAX: usize = 20;
/// Rows gathered before they are written: few, because what a comparison takes of memory the daemon may keep.
const ROWS_MAX: usize = 2_000;
/// What a table's comparison may take on a slow machine.
const TURN_EXCUSE: Duration = Duration::from_secs(60);

/// What can end a verification without a verdict.
///
/// The job tries again later; who asked by hand is told.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the log in {directory} has nothing of {date}")]
    NoLog { directory: String, date: TradingDate },
    #[error(
        "the log in {directory} has nothing of {date}, but the store has rows of that day: without its log they can be neither \
         explained nor judged again; if the day's directory was moved away, stop bhavd, put it back and start it again"
    )]
    LogGone { directory: String, date: TradingDate },
    #[error(
        "{date} is still being recorded, and rows were on their way to the store while its log was replayed: what differs says \
         nothing yet; ask again {when}"
    )]
    StillRecorded { date: TradingDate, when: &'static str },
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a day's log gives again what the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records of the log that were replayed.
    pub records: u64,
    pub judged_by: JudgedBy,
    pub tables: Vec<TableComparison>,
    /// Parts of the log that are lost, in words.
    pub losses: Vec<String>,
    /// What a clock that was ahead received among the day's records, which counts for no day; in words.
    pub set_aside: Vec<String>,
    /// The first differences in words, 20 at most.
    pub differences: Vec<String>,
    /// What the differences likely come of, and what to do, where that is known.
    pub likely_cause: Option<String>,
}

/// What a comparison says of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Equal,
    /// The log does not give what the store holds, and has lost a part of the day: there is nothing to hold the rows to.
    Incomplete,
    /// Other rules judged the day: what this version's give otherwise is no fault.
    OtherRules,
    Different,
}

/// Whose rules the rows of a day follow, by its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedBy {
    /// Those at the head of its log, as this version reads them: a replay gives the same rows.
    Log,
    /// Those of another version, which are not in its log: a replay follows this version's, and may well give other rows.
    OtherVersion,
    /// The head of its log is lost.
    NotKnown,
}

impl JudgedBy {
    /// `is_head_lost`: a part of the log before its first record is.
    pub(super) fn of(pipeline: &Pipeline, date: TradingDate, is_head_lost: bool) -> JudgedBy {
        match pipeline.judged_by_log() == (date, true) {
            true => JudgedBy::Log,
            false if is_head_lost => JudgedBy::NotKnown,
            false => JudgedBy::OtherVersion,
        }
    }
}

/// One table in the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableComparison {
    pub table: String,
    pub stored: u64,
    pub replayed: u64,
    /// Rows that only one side has, or that are not equal.
    pub different: u64,
}

impl Verified {
    /// What nothing was replayed of can be held to nothing.
    pub fn is_equal(&self) -> bool {
        let is_vacuous = self.records == 0 && !self.losses.is_empty();
        !is_vacuous && self.tables.iter().all(|table| table.different == 0)
    }

    pub fn verdict(&self) -> Verdict {
        match self.judged_by {
            _ if self.is_equal() => Verdict::Equal,
            _ if !self.losses.is_empty() => Verdict::Incomplete,
            JudgedBy::OtherVersion => Verdict::OtherRules,
            JudgedBy::Log | JudgedBy::NotKnown => Verdict::Different,
        }
    }
}

/// Replays the day's log over what the store knew before and compares every table of the day, line by line.
///
/// May be dropped at any time. `pulse` is told of the progress.
///
/// # Errors
/// [`VerifyError`].
pub async fn verify_day(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    date: TradingDate,
    pulse: &Pulse,
) -> Result<Verified, VerifyError> {
    let replayed = replay(url, spool_directory, settings, (date, WhichRules::OfLog), pulse).await;
    let replayed = match replayed {
        Err(VerifyError::LogGone { .. }) => no_log(spool_directory, date).await?,
        replayed => replayed?,
    };
    let Replayed { records, judged_by, store, losses, set_aside, rules: _ } = replayed;
    #[cfg(feature = "chaos")]
    super::chaos::wait(super::JobName::Verify).await;
    let (ours, theirs) = (Reader::open(url).await?, store.reader().await?);
    let mut differences = Vec::new();
    let tables =
        compare_tables((&ours, &theirs), date, store::dumped_tables(), &mut differences, pulse).await?;
    let cause = LostParts::read(spool_directory)?.of(date).map(|lost| describe_mended_loss(date, lost));
    let likely_cause = cause.filter(|_| !differences.is_empty() && losses.is_empty());
    Ok(Verified { records, judged_by, tables, losses, set_aside, differences, likely_cause })
}

fn describe_mended_loss(date: TradingDate, lost: &str) -> String {
    format!(
        "likely cause: rows of {date} were written while a part of its log was away ({lost}), which is back; restart bhavd: the \
         start that finds the log whole from {date} on writes its rows again"
    )
}

/// Compares these tables of the day, and adds the first differences to `differences`.
pub(super) async fn compare_tables(
    (ours, theirs): (&Reader, &Reader),
    date: TradingDate,
    names: impl Iterator<Item = &'static str>,
    differences: &mut Vec<String>,
    pulse: &Pulse,
) -> Result<Vec<TableComparison>, VerifyError> {
    let mut tables = Vec::new();
    for table in names {
        let mut whole = TableComparison { table: table.to_owned(), stored: 0, replayed: 0, different: 0 };
        for part in store::day_parts(date) {
            let stored = ours.dump_part(table, date, part).await?;
            pulse.progress();
            let replayed = theirs.dump_part(table, date, part).await?;
            pulse.progress();
            let _excused = pulse.excuse(TURN_EXCUSE);
            whole.add(&stored, &replayed, differences);
        }
        if whole.stored + whole.replayed > 0 {
            tables.push(whole);
        }
    }
    Ok(tables)
}

/// By which rules a day is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhichRules {
    OfLog,
    /// Those of a day that begins now, wherever the log has any.
    Todays,
}

/// What the log gives.
pub(super) struct Replayed {
    pub records: u64,
    pub judged_by: JudgedBy,
    pub store: OpenStore,
    /// Parts of the log that are lost, in words.
    pub losses: Vec<String>,
    /// See [`Verified::set_aside`].
    pub set_aside: Vec<String>,
    /// What today's rules say otherwise than those of the log that they stood in for, in words.
    pub rules: Vec<String>,
}

pub(super) async fn replay(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    (date, which): (TradingDate, WhichRules),
    pulse: &Pulse,
) -> Result<Replayed, VerifyError> {
    let reader = Reader::open(url).await?;
    let mut pipeline = begin_replay(&reader, settings, date).await?;
    drop(reader);
    let mut store = store::open_scratch(Birth::Simulated).await?;
    let mut batch = Batch::new(date, 0);
    let mut log = DayLog::open(spool_directory, date, pulse)?;
    let (todays, mut rules) = (settings.rules(date), Vec::new());
    while let Some((mut record, excused)) = log.next(&mut pipeline).await? {
        if which == WhichRules::Todays
            && let Some(of_log) = rules_of(&record)
        {
            // Within a day they may have changed; all of them give way.
            let differences = of_log.differences(&todays);
            rules.extend(differences.into_iter().filter(|told| !rules.contains(told)).collect::<Vec<_>>());
            let todays = Mark::Rules { rules: todays.clone() };
            record = NewRecord::mark(record.received_time, &todays).numbered(record.seq);
        }
        pipeline.apply(&record, &mut NoLive, &mut batch);
        drop(excused);
        if batch.row_count() >= ROWS_MAX {
            store.append(&batch).await?;
            batch = Batch::new(date, batch.spool_seq);
        }
    }
    let records = match log.records() {
        Ok(records) => records,
        Err(error) => return Err(name_loss(error, url).await),
    };
    let judged_by = log.judged_by(&pipeline);
    let (losses, set_aside) = (log.losses(), log.set_aside());
    if let Some(record) = log.record_after()? {
        pipeline.apply(&record, &mut NoLive, &mut batch);
    }
    store.append(&batch).await?;
    Ok(Replayed { records, judged_by, store, losses, set_aside, rules })
}

/// A day without a log is another thing where the store has rows of it.
pub(super) async fn name_loss(error: VerifyError, url: &str) -> VerifyError {
    let VerifyError::NoLog { directory, date } = error else { return error };
    let recorded = async { Reader::open(url).await?.recorded_days().await };
    match recorded.await {
        Ok(days) if days.contains(&date) => VerifyError::LogGone { directory, date },
        Ok(_) => VerifyError::NoLog { directory, date },
        Err(error) => error.into(),
    }
}

/// What is left of a day whose whole log is gone.
async fn no_log(spool_directory: &Path, date: TradingDate) -> Result<Replayed, VerifyError> {
    let loss = format!(
        "the whole log of {date} is gone: {} has no record of it, but the store has its rows, which stay; if the day's directory \
         was moved away, stop bhavd, put it back and start it again; a day that was removed on purpose cannot be replayed any \
         more",
        spool_directory.display()
    );
    let store = store::open_scratch(Birth::Simulated).await?;
    let (judged_by, losses) = (JudgedBy::NotKnown, vec![loss]);
    Ok(Replayed { records: 0, judged_by, store, losses, set_aside: Vec::new(), rules: Vec::new() })
}

/// A pipeline that knows what the store knew before a day.
pub(super) async fn begin_replay(
    reader: &Reader,
    settings: &PipelineSettings,
    date: TradingDate,
) -> Result<Pipeline, StoreError> {
    let mut symbols = reader.symbols().await?;
    symbols.retain(|row| row.valid_from < date);
    let catalog = Catalog::new(reader.instruments().await?, symbols, reader.final_open_interest(date).await?);
    Ok(Pipeline::new(settings.clone(), catalog))
}

impl TableComparison {
    /// Counts what differs in a part of the table, and adds the first differences to `differences`. Both sides in byte order.
    fn add(&mut self, stored: &[String], replayed: &[String], differences: &mut Vec<String>) {
        self.stored += stored.len() as u64;
        self.replayed += replayed.len() as u64;
        let mut differs = |side: &str, line: &str| {
            self.different += 1;
            if differences.len() < DIFFERENCES_MAX {
                differences.push(format!("{}: {side} only: {line}", self.table));
            }
        };
        let (mut ours, mut theirs) = (stored.iter().peekable(), replayed.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) => our.cmp(their),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            if order != Ordering::Greater
                && let Some(line) = ours.next()
                && order == Ordering::Less
            {
                differs("stored", line);
            }
            if order != Ordering::Less
                && let Some(line) = theirs.next()
                && order == Ordering::Greater
            {
                differs("replayed", line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jobs::test_day::{Place, at, clock, date, day, head, packet},
        market::{Provider, Timestamp},
        spool::{Skip, Spool},
    };
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn none() -> TableComparison {
        TableComparison { table: "t".to_owned(), stored: 0, replayed: 0, different: 0 }
    }

    #[test]
    fn every_difference_is_counted_and_the_first_are_told() {
        let mut differences = Vec::new();
        let mut compared = none();
        compared.add(&lines(&["a", "b"]), &lines(&["b", "c"]), &mut differences);
        assert_eq!((compared.stored, compared.replayed, compared.different), (2, 2, 2));
        assert_eq!(differences, ["t: stored only: a", "t: replayed only: c"]);
        compared.add(&lines(&["d"]), &lines(&["d"]), &mut differences);
        assert_eq!((compared.stored, compared.replayed), (3, 3));
        assert_eq!((compared.different, differences.len()), (2, 2));
    }

    /// What a comparison says of the day, with the store as the daemon wrote it, or with a value that it did not.
    async fn compared(records: Vec<NewRecord>, is_spoilt: bool) -> Verified {
        let mut place = Place::new();
        if is_spoilt {
            place.spoil = |batch| {
                let row = batch.buckets.iter_mut().find(|row| row.open_interest.is_some()).expect("a row");
                row.open_interest = Some(7);
            };
        }
        place.play(records).await;
        let pulse = Pulse::default();
        verify_day(&place.url(), &place.spool(), &PipelineSettings::of_tests(), date(), &pulse)
            .await
            .expect("compared")
    }

    #[tokio::test]
    async fn a_day_of_another_versions_rules_is_no_fault() {
        let verified = compared(day(true), false).await;
        assert_eq!((verified.judged_by, verified.verdict()), (JudgedBy::Log, Verdict::Equal));
        let verified = compared(day(true), true).await;
        assert_eq!((verified.judged_by, verified.verdict()), (JudgedBy::Log, Verdict::Different));
        let verified = compared(day(false), true).await;
        assert_eq!((verified.judged_by, verified.verdict()), (JudgedBy::OtherVersion, Verdict::OtherRules));
        let mut later = day(true);
        let mut rules = PipelineSettings::of_tests().rules(date());
        rules.schema += 1;
        later[0] = NewRecord::mark(at(9, 5, 0), &Mark::Rules { rules });
        assert_eq!(compared(later, true).await.judged_by, JudgedBy::OtherVersion);
    }

    #[test]
    fn a_lost_head_does_not_say_which_rules_judged_the_day() {
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        pipeline.apply(&clock(at(9, 5, 0)).numbered(1), &mut NoLive, &mut Batch::new(date(), 0));
        assert_eq!(JudgedBy::of(&pipeline, date(), true), JudgedBy::NotKnown);
        assert_eq!(JudgedBy::of(&pipeline, date(), false), JudgedBy::OtherVersion);
    }

    async fn verified(place: &Place) -> Verified {
        let pulse = Pulse::default();
        let settings = PipelineSettings::of_tests();
        verify_day(&place.url(), &place.spool(), &settings, date(), &pulse).await.expect("compared")
    }

    async fn observed(place: &Place) -> Vec<String> {
        let mut day =
            Reader::open(&place.url()).await.expect("opens").dump_day(date()).await.expect("a dump");
        let mut rows = day.remove("intraday_option_oi").expect("rows");
        rows.retain(|line| matches!(line.split('|').nth(9), Some("1" | "2" | "3")));
        rows
    }

    #[tokio::test]
    async fn a_log_that_lost_its_head_takes_nothing_back_and_is_told_so() {
        let place = Place::new();
        place.play(day(true)).await;
        let before = observed(&place).await;
        assert!(before.len() > 2, "{before:?}");
        let last_seq = 10_000;
        std::fs::rename(place.spool(), place.home.path().join("moved-away")).expect("moved");
        let mark = |mark: Mark| NewRecord::mark(at(9, 51, 0), &mark);
        let skip = Some(Skip::BehindStore { store_seq: last_seq, session: date() });
        let mut records = vec![
            mark(Mark::Rules { rules: PipelineSettings::of_tests().rules(date()) }),
            mark(Mark::Started { version: String::new(), skip }),
        ];
        records.extend(
            head(false).into_iter().skip(1).map(|record| NewRecord { received_time: at(9, 51, 1), ..record }),
        );
        records.extend((52..59).map(|minute| clock(at(9, minute, 0))));
        place.play_after(last_seq, records).await;
        let after = observed(&place).await;
        assert_eq!(after, before);
        let verified = verified(&place).await;
        assert_eq!(verified.verdict(), Verdict::Incomplete, "{verified:?}");
        assert!(verified.losses[0].contains("lacks its head: records up to 10000"), "{verified:?}");
    }

    #[tokio::test]
    async fn an_hour_that_was_deleted_is_told_from_a_difference() {
        let place = Place::new();
        let mut records = day(true);
        records.extend((0..10).map(|minute| clock(at(10, minute, 0))));
        place.play(records).await;
        std::fs::remove_file(place.spool().join("2026-01-30/09.spool")).expect("deleted");
        let verified = verified(&place).await;
        assert_eq!((verified.judged_by, verified.verdict()), (JudgedBy::NotKnown, Verdict::Incomplete));
        assert!(verified.losses[0].contains("lacks its head: its first record is"), "{verified:?}");
    }

    /// What a start does that finds the log of `place` to end before the store does: its life begins at `now` with `records`
    /// behind it, and the store gets what comes of them.
    async fn start_again(place: &Place, now: Timestamp, records: Vec<NewRecord>) {
        let mut store = store::open(&place.url(), Birth::Simulated).await.expect("opens");
        let store_seq = store.checkpoint().await.expect("readable").expect("a checkpoint").spool_seq;
        let mut spool = Spool::open(&place.spool()).expect("a log").spool;
        spool.skip_numbers_to(store_seq);
        let rules = PipelineSettings::of_tests().rules(date());
        let skip = Some(Skip::BehindStore { store_seq, session: date() });
        let begun = [Mark::Rules { rules }, Mark::Started { version: String::new(), skip }];
        let begun = begun.iter().map(|mark| NewRecord::mark(now, mark));
        begun.chain(records).for_each(|mut record| {
            spool.append(&mut record).expect("appended");
        });
        place.store_log(&mut store, store_seq).await;
    }

    async fn stored(place: &Place) -> store::DayDump {
        Reader::open(&place.url()).await.expect("opens").dump_day(date()).await.expect("a dump")
    }

    #[tokio::test]
    async fn a_lost_end_of_a_day_leaves_every_row_as_it_is() {
        let place = Place::new();
        let mut records = day(true);
        records.extend((0..10).map(|minute| clock(at(14, 5 * minute, 0))));
        records.extend([packet(at(15, 10, 0), 0, 300, 50), packet(at(15, 20, 0), 0, 310, 60)]);
        records.extend((30..60).map(|minute| clock(at(15, minute, 0))));
        place.play(records).await;
        let before = stored(&place).await;
        for table in ["price_history_daily", "daily_option_oi", "coverage", "price_history_intraday"] {
            assert!(!before[table].is_empty(), "{table}: {before:?}");
        }
        std::fs::remove_file(place.spool().join("2026-01-30/15.spool")).expect("deleted");
        start_again(&place, at(17, 30, 0), vec![clock(at(17, 30, 1)), clock(at(18, 0, 0))]).await;
        let after = stored(&place).await;
        for (table, rows) in before.iter().filter(|(table, _)| table.as_str() != "gaps") {
            assert_eq!(&after[table], rows, "{table}");
        }
        assert_eq!(verified(&place).await.verdict(), Verdict::Incomplete);
    }

    #[tokio::test]
    async fn what_was_said_before_a_loss_is_no_baseline_of_what_is_said_after_it() {
        let place = Place::new();
        let mut records = head(true);
        records.extend([
            packet(at(9, 16, 0), 0, 100, 10),
            packet(at(9, 17, 0), 0, 110, 11),
            packet(at(10, 0, 30), 0, 130, 12),
            packet(at(10, 7, 0), 0, 140, 13),
        ]);
        place.play(records).await;
        let before = stored(&place).await;
        std::fs::remove_file(place.spool().join("2026-01-30/10.spool")).expect("deleted");
        let up = [Mark::feed_up(Provider::AngelOne), Mark::stream_up(Provider::AngelOne, 0)];
        let mut records: Vec<NewRecord> =
            up.iter().map(|mark| NewRecord::mark(at(10, 20, 1), mark)).collect();
        records.extend([packet(at(10, 21, 0), 0, 150, 14), packet(at(10, 22, 0), 0, 155, 15)]);
        records.extend((23..40).map(|minute| clock(at(10, minute, 0))));
        start_again(&place, at(10, 20, 0), records).await;
        let after = stored(&place).await;
        let kept = |table: &str| before[table].iter().all(|row| after[table].contains(row));
        assert!(kept("oi_delta_log") && kept("price_history_intraday"), "{before:#?} {after:#?}");
        let is_new = |row: &&String| !before["oi_delta_log"].contains(row);
        let deltas: Vec<&String> = after["oi_delta_log"].iter().filter(is_new).collect();
        let lots = |lots: i64| (lots * 65).to_string();
        assert_eq!(deltas.len(), 1, "{deltas:?}");
        assert!(deltas[0].contains(&format!("|{}|{}|", lots(150), lots(155))), "{deltas:?}");
        let is_marked = |row: &&String| !before["price_history_intraday"].contains(row);
        let candles: Vec<&String> = after["price_history_intraday"].iter().filter(is_marked).collect();
        assert!(candles.iter().all(|row| row.ends_with("|1")), "{candles:?}");
    }

    #[tokio::test]
    async fn rows_of_a_log_that_is_whole_again_differ_for_a_cause_that_is_named() {
        let mut place = Place::new();
        place.spoil = |batch| {
            let row = batch.buckets.iter_mut().find(|row| row.open_interest.is_some()).expect("a row");
            row.open_interest = None;
        };
        place.play(day(true)).await;
        assert_eq!(verified(&place).await.likely_cause, None);
        LostParts::note(&place.spool(), date(), "the log lacks records 3 to 6").expect("noted");
        let cause = verified(&place).await.likely_cause.expect("it is known");
        assert!(cause.contains("lacks records 3 to 6") && cause.contains("restart bhavd"), "{cause}");
    }

    #[tokio::test]
    async fn another_days_log_in_the_days_directory_is_named_and_judges_nothing() {
        let place = Place::new();
        place.play(day(true)).await;
        place.mix_up().await;
        LostParts::note(&place.spool(), date(), "its head").expect("noted");
        let verified = verified(&place).await;
        assert_eq!((verified.records, verified.judged_by), (0, JudgedBy::NotKnown));
        assert_eq!((verified.verdict(), verified.likely_cause.as_deref()), (Verdict::Incomplete, None));
        let [told] = &verified.losses[..] else { panic!("{verified:?}") };
        assert!(told.starts_with("the log of 2026-01-30 holds records of another day"), "{told}");
        assert!(told.contains("received on 2026-01-29") && told.contains("start it again"), "{told}");
        // Of a day that the store has nothing of, nothing is said either.
        let other = date().succ_opt().expect("a date");
        let spool = place.spool();
        std::fs::rename(spool.join("2026-01-30"), spool.join(other.to_string())).expect("moved");
        let (pulse, settings) = (Pulse::default(), PipelineSettings::of_tests());
        let empty = verify_day(&place.url(), &spool, &settings, other, &pulse).await.expect("compared");
        assert_eq!(empty.verdict(), Verdict::Incomplete, "{empty:?}");
    }

    #[tokio::test]
    async fn a_day_whose_whole_log_is_gone_has_lost_it() {
        let place = Place::new();
        place.play(day(true)).await;
        std::fs::remove_dir_all(place.spool().join("2026-01-30")).expect("deleted");
        let verified = verified(&place).await;
        assert_eq!((verified.records, verified.verdict()), (0, Verdict::Incomplete));
        assert!(verified.losses[0].contains("the whole log of 2026-01-30 is gone"), "{verified:?}");
        let (pulse, settings) = (Pulse::default(), PipelineSettings::of_tests());
        let other = date().succ_opt().expect("a date");
        let nothing = verify_day(&place.url(), &place.spool(), &settings, other, &pulse).await;
        assert!(matches!(nothing, Err(VerifyError::NoLog { .. })), "{nothing:?}");
    }

    proptest! {
        #[test]
        fn the_differences_are_those_of_the_two_sets(
            ours in prop::collection::btree_set("[a-c]{0,2}", 0..12),
            theirs in prop::collection::btree_set("[a-c]{0,2}", 0..12),
        ) {
            let sorted = |lines: &BTreeSet<String>| lines.iter().cloned().collect::<Vec<_>>();
            let mut compared = none();
            compared.add(&sorted(&ours), &sorted(&theirs), &mut Vec::new());
            prop_assert_eq!(compared.different as usize, ours.symmetric_difference(&theirs).count());
        }
    }
}
