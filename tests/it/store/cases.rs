//! The cases. Each gets a place without a store.

use super::{place::Place, sample::*};
use bhavd::{
    market::{
        Bucket, BucketState, CandleInterval, Contract, Exchange, InstrumentId, OptionType, Price, Provider,
        TradingDate,
    },
    store::{
        self, Batch, Birth, Checkpoint, CoverageDay, DeltaFilter, ErrorClass, Fence, GapRow, JobRun,
        JobRunFilter, Reader, RunState, StateCounts, Store, StoreError,
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

fn checkpoint(spool_seq: u64) -> Option<Checkpoint> {
    Some(Checkpoint { spool_seq, session_date: date() })
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| (*value != "NULL").then(|| (*value).to_owned())).collect()
}

pub async fn what_is_appended_can_be_asked_for(place: &Place) {
    let batch = batch();
    let (store, reader) = place.with(std::slice::from_ref(&batch)).await;
    assert_eq!(store.checkpoint().await, Ok(checkpoint(41)));
    assert_eq!(store.instruments().await.expect("readable"), batch.instruments);
    assert_eq!(reader.birth().await, Ok(Birth::Real));

    let chain = reader.chain_at("NIFTY", None, at(9, 17, 0)).await.expect("a chain");
    let strikes: Vec<i64> = chain.iter().map(|row| row.strike.as_e4()).collect();
    assert_eq!(strikes, [250_000_000, 250_500_000]);
    assert_eq!(chain[0].bucket, bucket(9, 15));
    assert_eq!((chain[0].underlying.as_str(), chain[0].expiry), ("NIFTY", expiry()));
    let call = chain[0].call.expect("a call");
    assert_eq!((call.open_interest, call.state), (Some(65_000), BucketState::Live));
    let put = chain[0].put.expect("a put");
    assert_eq!((put.open_interest_change, put.state), (Some(129_000), BucketState::Carried));
    assert_eq!(chain[0].provider, Some(Provider::AngelOne));
    assert_eq!(chain[0].index.expect("the index traded").open, Price::from_e4(252_789_000));
    assert_eq!(chain[1].put, None);
    let later = reader.chain_at("NIFTY", Some(expiry()), at(15, 0, 0)).await.expect("a chain");
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].bucket, later[0].index), (bucket(9, 18), None));
    assert_eq!(later[0].put.expect("a row").state, BucketState::Missing);
    for (underlying, expiry, at) in [
        ("BANKNIFTY", None, at(10, 0, 0)),
        ("NIFTY", Some(date()), at(10, 0, 0)),
        ("NIFTY", None, at(9, 14, 59)),
    ] {
        assert_eq!(
            reader.chain_at(underlying, expiry, at).await,
            Ok(Vec::new()),
            "{underlying} {expiry:?} {at}"
        );
    }

    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a history");
    assert_eq!(history, [batch.buckets[0], batch.buckets[3]]);
    assert_eq!(reader.oi_history(&option(1, OptionType::Call), date()).await, Ok(Vec::new()));

    let all = reader.deltas(&DeltaFilter::default(), 10).await.expect("deltas");
    assert_eq!(all.iter().map(|row| row.delta).collect::<Vec<_>>(), batch.deltas, "newest first");
    assert_eq!(all[0].symbol, "NIFTY 2026-02-03 25000 CE");
    let ask = async |filter: DeltaFilter, limit| {
        let rows = reader.deltas(&filter, limit).await.expect("deltas");
        rows.into_iter().map(|row| row.delta.instrument).collect::<Vec<_>>()
    };
    let nothing = DeltaFilter::default;
    assert_eq!(ask(nothing(), 1).await, [CALL]);
    assert_eq!(ask(DeltaFilter { until: Some(at(9, 17, 0)), ..nothing() }, 9).await, [LONELY_CALL]);
    assert_eq!(ask(DeltaFilter { from: Some(at(9, 17, 0)), ..nothing() }, 9).await, [CALL]);
    let underlying = Some("NIFTY".to_owned());
    let contract = Some(option(250_500_000, OptionType::Call));
    assert_eq!(ask(DeltaFilter { underlying, contract, ..nothing() }, 9).await, [LONELY_CALL]);
    assert_eq!(ask(DeltaFilter { underlying: Some("SENSEX".to_owned()), ..nothing() }, 9).await, []);

    for (candle, symbol) in [
        (batch.candles[0], "NIFTY"),
        (batch.candles[1], "NIFTY"),
        (batch.candles[2], "NIFTY 2026-02-03 25000 CE"),
        (batch.candles[3], "NIFTY"),
    ] {
        let found = reader.candles(symbol, candle.interval, date()).await;
        assert_eq!(found, Ok(vec![candle]), "{symbol} {:?}", candle.interval);
    }
    assert_eq!(reader.candles("NIFTY", CandleInterval::FiveMinutes, day(29)).await, Ok(Vec::new()));

    let summary = reader.summary(date()).await.expect("a summary");
    let coverage = StateCounts { live: 2, carried: 1, missing: 1, ..StateCounts::default() };
    let counts = (summary.contracts, summary.buckets, summary.rows, summary.snapshots);
    assert_eq!(counts, (3, 2, 5, 3));
    assert_eq!((summary.deltas, summary.candles, summary.coverage), (2, 4, coverage));
    let report = reader.coverage(date()).await.expect("a report");
    assert_eq!(report.states, coverage);
    let nifty = &report.underlyings[0];
    assert_eq!((nifty.underlying.as_str(), nifty.contracts), ("NIFTY", 2));
    assert_eq!((nifty.expected, nifty.present, nifty.states), (4, 5, coverage));
    assert_eq!(reader.summary(day(29)).await, Ok(store::DaySummary::default()));
    assert_eq!(reader.dump_day(day(29)).await.map(|dump| dump.len()), Ok(0));
}

pub async fn repeating_a_batch_changes_nothing(place: &Place) {
    let batch = batch();
    let (mut store, reader) = place.with(std::slice::from_ref(&batch)).await;
    let before = reader.dump_day(date()).await.expect("a dump");
    assert_eq!(before.len(), 9, "every table has rows: {:?}", before.keys());
    assert_eq!(before.values().map(Vec::len).sum::<usize>(), 4 + 2 + 5 + 2 + 3 + 1 + 2 + 3 + 1);
    for _ in 0..2 {
        store.append(&batch).await.expect("is written again");
    }
    assert_eq!(reader.dump_day(date()).await.expect("a dump"), before);
    assert_eq!(store.instruments().await.expect("readable"), batch.instruments);
    assert_eq!(store.checkpoint().await, Ok(checkpoint(41)));
}

pub async fn a_lower_revision_never_replaces_a_higher(place: &Place) {
    let revised = |revision: u16, value: i64| {
        let mut batch = batch();
        batch.buckets = vec![bucket_row(bucket(9, 15), CALL, value)];
        batch.candles = vec![
            candle(INDEX, CandleInterval::FiveMinutes, at(9, 15, 0)),
            candle(INDEX, CandleInterval::Day, at(9, 15, 0)),
        ];
        batch.buckets[0].revision = revision;
        for candle in &mut batch.candles {
            (candle.revision, candle.volume) = (revision, value);
        }
        batch
    };
    let (mut store, reader) = place.with(&[revised(1, 100)]).await;
    for (revision, value, expected) in [(0, 200, 100), (1, 300, 300), (2, 400, 400), (1, 500, 400)] {
        store.append(&revised(revision, value)).await.expect("is written");
        let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a row");
        assert_eq!(history[0].open_interest, Some(expected), "revision {revision}");
        for interval in [CandleInterval::FiveMinutes, CandleInterval::Day] {
            let candles = reader.candles("NIFTY", interval, date()).await.expect("a candle");
            assert_eq!(candles[0].volume, expected, "revision {revision} of {interval:?}");
        }
    }
}

pub async fn rows_of_one_key_in_a_batch_count_in_their_order(place: &Place) {
    let mut batch = batch();
    let row = |value: i64, revision: u16| {
        let mut row = bucket_row(bucket(9, 15), CALL, value);
        row.revision = revision;
        row
    };
    batch.buckets = vec![row(1, 0), row(2, 2), row(3, 1), bucket_row(bucket(9, 18), CALL, 9), row(4, 2)];
    let mut longer = batch.gaps[0].clone();
    longer.to = at(9, 30, 0);
    batch.gaps.insert(0, longer);
    let (_store, reader) = place.with(&[batch]).await;
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("rows");
    let values: Vec<_> = history.iter().map(|row| (row.open_interest, row.revision)).collect();
    assert_eq!(values, [(Some(4), 2), (Some(9), 0)]);
    let (_, gaps) = place.select("SELECT to_time FROM gaps").await;
    assert_eq!(gaps, [texts(&[&at(9, 30, 0).as_us().to_string()])]);
}

pub async fn a_refused_batch_leaves_no_trace(place: &Place) {
    let (mut store, reader) = place.with(&[]).await;
    let mut wrong = batch();
    // Two numbers for one contract.
    wrong.instruments.push(instrument(InstrumentId(9), Contract::index(Exchange::Nse, "NIFTY")));
    let error = store.append(&wrong).await.expect_err("is refused");
    assert_eq!(error.class(), ErrorClass::Stop, "{error}");
    assert!(matches!(error, StoreError::Constraint { .. }), "{error:?}");
    assert_eq!(store.checkpoint().await, Ok(None));
    assert_eq!(reader.dump_day(date()).await.map(|dump| dump.len()), Ok(0));
    store.append(&batch()).await.expect("the next one is written");
    assert_eq!(store.checkpoint().await, Ok(checkpoint(41)));
}

pub async fn a_writer_that_was_given_up_commits_nothing(place: &Place) {
    let (mut given_up, reader) = place.with(&[]).await;
    let is_current = Arc::new(AtomicBool::new(true));
    let lease = Arc::clone(&is_current);
    given_up.set_fence(Fence::new(move || lease.load(Ordering::Acquire)));
    let mut first = Batch::new(date(), 7);
    first.instruments = batch().instruments;
    given_up.append(&first).await.expect("it counts");
    let before = reader.dump_day(date()).await.expect("readable");
    is_current.store(false, Ordering::Release);
    for _ in 0..2 {
        let error = given_up.append(&batch()).await.expect_err("it does not count any more");
        assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Stop, "{error}");
    }
    assert_eq!(given_up.checkpoint().await, Ok(checkpoint(7)));
    assert_eq!(reader.dump_day(date()).await.expect("readable"), before);
    // Nothing of it stands in the way of the next.
    let mut next = place.open().await;
    next.append(&batch()).await.expect("is written");
    assert_eq!(next.checkpoint().await, Ok(checkpoint(41)));
    given_up.append(&Batch::new(date(), 99)).await.expect_err("still given up");
    assert_eq!(next.checkpoint().await, Ok(checkpoint(41)));
}

pub async fn the_checkpoint_never_goes_back(place: &Place) {
    let (mut store, _reader) = place.with(&[]).await;
    for (date, spool_seq) in [(day(29), 10), (day(30), 20), (day(30), 30), (day(30), 20), (day(29), 10)] {
        store.append(&Batch::new(date, spool_seq)).await.expect("is written");
    }
    assert_eq!(store.checkpoint().await, Ok(checkpoint(30)));
    let (_, days) =
        place.select("SELECT session_date, spool_seq FROM checkpoints ORDER BY session_date").await;
    assert_eq!(days, [texts(&["2026-01-29", "10"]), texts(&["2026-01-30", "30"])]);
}

pub async fn a_store_stays_what_it_was_born_as(place: &Place) {
    drop(place.open().await);
    let error = store::open(&place.url, Birth::Simulated).await.err().expect("is refused");
    assert_eq!(error.class(), ErrorClass::Configuration);
    let text = error.to_string();
    for part in ["was born real", "opened as simulated", "store of its own"] {
        assert!(text.contains(part), "{text}");
    }
    let name = store::Address::parse(&place.url).expect("an address").to_string();
    assert!(text.contains(&name), "{text}");
    drop(place.open().await);
    assert_eq!(Reader::open(&place.url).await.expect("opens").birth().await, Ok(Birth::Real));
}

pub async fn a_reader_needs_a_store(place: &Place) {
    let error = Reader::open(&place.url).await.err().expect("nothing was made there");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    assert!(error.to_string().contains("start bhavd once"), "{error}");
    place.execute("CREATE TABLE notes (text TEXT)").await;
    let error = Reader::open(&place.url).await.err().expect("a database, but no store");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
}

pub async fn a_store_of_a_later_version_is_refused(place: &Place) {
    drop(place.open().await);
    place.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").await;
    let error = store::open(&place.url, Birth::Real).await.err().expect("is refused");
    assert!(matches!(error, StoreError::Later { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Configuration);
}

pub async fn the_view_of_snapshots_has_exact_values(place: &Place) {
    let (_store, _reader) = place.with(&[batch()]).await;
    let (names, rows) = place.select("SELECT * FROM option_snapshots ORDER BY time_ist, strike").await;
    assert_eq!(
        names.join(" "),
        "time_ist index_name expiry strike ce_oi ce_oi_change ce_ltp ce_volume pe_oi pe_oi_change pe_ltp \
         pe_volume index_open index_high index_low index_close index_volume ce_state pe_state provider"
    );
    let index = ["25278.9", "25280.05", "25270", "25275", "12345"];
    let none = ["NULL"; 5];
    let first = [
        &["2026-01-30 09:15:00", "NIFTY", "2026-02-03", "25000", "65000", "64000", "123.45", "2600"][..],
        &["130000", "129000", "0.05", "2600"],
        &index,
        &["live", "carried", "angel_one"],
    ];
    let one_sided = [
        &["2026-01-30 09:15:00", "NIFTY", "2026-02-03", "25050", "6500", "5500", "123.45", "2600"][..],
        &["NULL", "NULL", "NULL", "NULL"],
        &index,
        &["live", "NULL", "angel_one"],
    ];
    let without_candle = [
        &["2026-01-30 09:18:00", "NIFTY", "2026-02-03", "25000", "65065", "64065", "123.45", "2600"][..],
        &["NULL", "NULL", "NULL", "NULL"],
        &none,
        &["live", "missing", "angel_one"],
    ];
    assert_eq!(rows, [first, one_sided, without_candle].map(|parts| texts(&parts.concat())));
}

pub async fn the_views_of_deltas_and_candles_have_exact_values(place: &Place) {
    let (_store, _reader) = place.with(&[batch()]).await;
    let (names, rows) = place.select("SELECT * FROM oi_deltas ORDER BY time_ist").await;
    let expected = "time_ist index_name expiry strike option_type old_oi new_oi delta provider";
    assert_eq!(names.join(" "), expected);
    let deltas = [
        ["2026-01-30 09:16:00", "NIFTY", "2026-02-03", "25050", "CE", "13000", "6500", "-6500", "nse"],
        ["2026-01-30 09:18:30", "NIFTY", "2026-02-03", "25000", "CE", "65000", "65065", "65", "angel_one"],
    ];
    assert_eq!(rows, deltas.map(|row| texts(&row)));
    let (names, rows) = place.select("SELECT * FROM candles_5m ORDER BY symbol").await;
    assert_eq!(names.join(" "), "time_ist symbol open high low close volume");
    let prices = ["25278.9", "25280.05", "25270", "25275", "12345"];
    let candles = ["NIFTY", "NIFTY 2026-02-03 25000 CE"]
        .map(|symbol| texts(&[&["2026-01-30 09:15:00", symbol][..], &prices].concat()));
    assert_eq!(rows, candles);
}

pub async fn coverage_of_a_day_is_replaced(place: &Place) {
    let mut first = batch();
    let yesterday = |bucket: Bucket| Bucket::containing(bucket.start().plus_seconds(-86_400));
    let (from, to) = (yesterday(bucket(9, 15)), yesterday(bucket(15, 27)));
    first.coverage.push(CoverageDay {
        instrument: CALL,
        date: day(29),
        runs: vec![run(CALL, from, to, BucketState::Live)],
    });
    let mut second = Batch::new(date(), 42);
    let runs = |states: &[(u32, u32, BucketState)]| {
        let run =
            |(from, to, state): &(u32, u32, BucketState)| run(CALL, bucket(9, *from), bucket(9, *to), *state);
        CoverageDay { instrument: CALL, date: date(), runs: states.iter().map(run).collect() }
    };
    // The second word on a day is the one that counts.
    second.coverage = vec![
        runs(&[(15, 18, BucketState::Missing)]),
        runs(&[(15, 15, BucketState::Live), (18, 21, BucketState::Backfilled)]),
    ];
    let (mut store, reader) = place.with(&[first, second]).await;
    let report = reader.coverage(date()).await.expect("a report");
    assert_eq!(report.states, StateCounts { live: 1, carried: 1, backfilled: 2, missing: 1, unlisted: 0 });
    let before = reader.coverage(day(29)).await.expect("a report");
    assert_eq!(before.states, StateCounts { live: 125, ..StateCounts::default() }, "the day before stays");
    let mut third = Batch::new(date(), 43);
    third.coverage = vec![runs(&[])];
    store.append(&third).await.expect("is written");
    let report = reader.coverage(date()).await.expect("a report");
    assert_eq!(report.states, StateCounts { carried: 1, missing: 1, ..StateCounts::default() });
}

pub async fn a_close_follows_the_latest_event_and_keeps_the_official_values(place: &Place) {
    let closes = |seconds: i64, open_interest: i64| {
        let mut batch = batch();
        batch.closes = vec![close(date(), CALL, Some(open_interest))];
        batch.closes[0].event_time = at(15, 30, 0).plus_seconds(seconds);
        batch
    };
    let (mut store, _reader) = place.with(&[closes(5, 1_000)]).await;
    let official = "UPDATE daily_option_oi SET official_oi = 1500, official_price_e4 = 10, finality = 'final', \
        difference = 500 WHERE instrument = 2";
    place.execute(official).await;
    for (seconds, open_interest, expected) in [(4, 900, ["1000", "500"]), (6, 1_600, ["1600", "-100"])] {
        store.append(&closes(seconds, open_interest)).await.expect("is written");
        let question = "SELECT oi, difference, official_oi, finality FROM daily_option_oi";
        let (_, rows) = place.select(question).await;
        assert_eq!(rows, [texts(&[&expected[..], &["1500", "final"]].concat())]);
    }
}

pub async fn the_last_final_open_interest_is_found(place: &Place) {
    let mut batch = batch();
    batch.closes = vec![
        close(day(28), CALL, Some(100)),
        close(day(29), CALL, Some(200)),
        close(day(30), CALL, Some(300)),
        close(day(28), PUT, Some(400)),
        close(day(29), PUT, None),
        close(day(29), LONELY_CALL, None),
    ];
    let (store, _reader) = place.with(&[batch]).await;
    let before = async |date| store.final_open_interest(date).await.expect("readable");
    assert_eq!(before(day(30)).await, [(CALL, 200), (PUT, 400)]);
    place.execute("UPDATE daily_option_oi SET official_oi = 450 WHERE trading_date = '2026-01-29'").await;
    assert_eq!(before(day(30)).await, [(CALL, 450), (PUT, 450), (LONELY_CALL, 450)]);
    assert_eq!(before(day(31)).await, [(CALL, 300), (PUT, 450), (LONELY_CALL, 450)]);
    assert_eq!(before(day(28)).await, []);
    assert_eq!(before(expiry().succ_opt().expect("a date")).await, [], "expired");
}

pub async fn gaps_grow_and_instruments_widen(place: &Place) {
    let first = batch();
    let mut second = Batch::new(date(), 42);
    let longer = GapRow { to: at(9, 25, 0), reason: "longer".to_owned(), ..first.gaps[0].clone() };
    let of_part = GapRow { part: "NIFTY 2026-02-03".to_owned(), ..first.gaps[0].clone() };
    let of_provider = GapRow { provider: Some(Provider::Nse), ..first.gaps[0].clone() };
    second.gaps = vec![longer, of_part, of_provider];
    let mut earlier = first.instruments[1].clone();
    (earlier.first_seen, earlier.last_seen, earlier.lot_size) = (day(1), day(2), 75);
    let mut later = first.instruments[2].clone();
    (later.first_seen, later.last_seen, later.lot_size) = (day(31), day(31), 50);
    second.instruments = vec![earlier, later];
    let (mut store, _reader) = place.with(&[first.clone(), second]).await;
    store.append(&first).await.expect("is repeated");
    let (_, gaps) =
        place.select("SELECT provider, part, to_time, reason FROM gaps ORDER BY provider, part").await;
    let [nine_nineteen, nine_twenty_five] = [at(9, 19, 0), at(9, 25, 0)].map(|at| at.as_us().to_string());
    let was_down = "the daemon was down";
    let expected = [
        ["0", "", &nine_twenty_five, "longer"],
        ["0", "NIFTY 2026-02-03", &nine_nineteen, was_down],
        ["2", "", &nine_nineteen, was_down],
    ];
    assert_eq!(gaps, expected.map(|row| texts(&row)));
    let rows = store.instruments().await.expect("readable");
    let spans: Vec<_> = rows[1..3].iter().map(|row| (row.first_seen, row.last_seen, row.lot_size)).collect();
    assert_eq!(spans, [(day(1), date(), 65), (date(), day(31), 50)]);
}

fn job_run(job: &str, session_date: TradingDate, attempt: u32, state: RunState) -> JobRun {
    let started = at(16, 35, 0).plus_seconds(attempt.into());
    let ended = (state != RunState::Running).then(|| started.plus_seconds(9));
    let error = (state == RunState::Failed).then(|| "no space".to_owned());
    JobRun { job: job.to_owned(), session_date, attempt, state, started, ended, error }
}

pub async fn runs_of_jobs_are_kept_beside_the_checkpoint(place: &Place) {
    let runs = [
        job_run("verify", day(29), 1, RunState::Failed),
        job_run("verify", day(29), 2, RunState::Done),
        job_run("archive", date(), 3, RunState::Running),
    ];
    let mut batches = vec![batch()];
    batches.extend(runs.clone().map(Batch::of_job_run));
    // The transaction of before, repeated, comes after the run's end.
    let over = job_run("archive", date(), 3, RunState::Interrupted);
    batches.extend([Batch::of_job_run(over.clone()), Batch::of_job_run(runs[2].clone())]);
    let (_store, reader) = place.with(&batches).await;
    let checkpoint = reader.checkpoint().await.expect("readable").expect("written");
    assert_eq!((checkpoint.spool_seq, checkpoint.session_date), (batch().spool_seq, date()));
    let all = reader.job_runs(&JobRunFilter::default(), 10).await.expect("readable");
    assert_eq!(all, [over.clone(), runs[1].clone(), runs[0].clone()], "the last first");
    let of = JobRunFilter { job: Some("verify".to_owned()), since: Some(day(29)) };
    assert_eq!(reader.job_runs(&of, 1).await.expect("readable"), runs[1..2]);
    let later = JobRunFilter { since: Some(date()), ..of };
    assert_eq!(reader.job_runs(&later, 10).await.expect("readable"), []);
    // What the daemon did is none of the day.
    assert!(!reader.dump_day(date()).await.expect("readable").contains_key("job_runs"));
}

/// The schema as the first released version left it.
const FIRST_VERSION: &str = "20260101000000";

pub async fn a_store_of_the_first_version_is_brought_up_to_date(place: &Place) {
    let is_sqlite = place.url.starts_with("sqlite:");
    let schema = match is_sqlite {
        true => include_str!("../../../migrations/sqlite/2026-01-01-000000_record/up.sql"),
        false => include_str!("../../../migrations/postgres/2026-01-01-000000_record/up.sql"),
    };
    place.execute(schema).await;
    let versions = format!(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('{FIRST_VERSION}'); \
         INSERT INTO store_identity (id, birth) VALUES (1, 'real'); \
         INSERT INTO checkpoints (session_date, spool_seq) VALUES ('2026-01-29', 41); \
         INSERT INTO gaps (from_time, provider, to_time, reason) VALUES (1, 0, 2, 'kept');"
    );
    place.execute(&versions).await;
    let done = job_run("verify", day(29), 1, RunState::Done);
    let (store, reader) = place.with(&[Batch::of_job_run(done.clone())]).await;
    let checkpoint = reader.checkpoint().await.expect("readable").expect("written");
    assert_eq!((checkpoint.spool_seq, checkpoint.session_date), (41, day(29)));
    let (_, gaps) = place.select("SELECT reason FROM gaps").await;
    assert_eq!(gaps, [texts(&["kept"])]);
    assert_eq!(reader.job_runs(&JobRunFilter::default(), 10).await.expect("readable"), [done]);
    drop((store, reader));
    let (_, versions) = place.select("SELECT version FROM __diesel_schema_migrations ORDER BY version").await;
    assert_eq!(
        versions,
        [FIRST_VERSION, "20260102000000", "20260103000000"].map(|version| texts(&[version]))
    );
    place.open().await;
}
