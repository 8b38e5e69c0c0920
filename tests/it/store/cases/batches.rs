//! What a batch writes, replaces and leaves, and that it is whole or not at all.

use super::*;

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
    assert_eq!((call.open_interest_change, call.oi_base), (Some(64_000), Some(OiBase::Provider)));
    let quoted = [call.bid, call.ask].map(|price| price.map(Price::as_e4));
    assert_eq!((quoted, call.implied_volatility_e4), ([Some(1_234_000), Some(1_235_000)], Some(123_400)));
    let put = chain[0].put.expect("a put");
    assert_eq!((put.open_interest_change, put.state), (Some(129_000), BucketState::Carried));
    assert_eq!(chain[0].provider, Some(Provider::AngelOne));
    assert_eq!(chain[0].index.expect("the index traded").open, Price::from_e4(252_789_000));
    assert_eq!(chain[0].index_state, Some(BucketState::Live));
    assert_eq!(chain[1].put, None);
    let later = reader.chain_at("NIFTY", Some(expiry()), at(15, 0, 0)).await.expect("a chain");
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].bucket, later[0].index), (bucket(9, 18), None));
    assert_eq!(later[0].index_state, Some(BucketState::Missing));
    let missing = later[0].put.expect("a row");
    assert_eq!((missing.state, missing.oi_base, missing.bid), (BucketState::Missing, None, None));
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
    assert_eq!(before.len(), 10, "every table has rows: {:?}", before.keys());
    assert_eq!(before.values().map(Vec::len).sum::<usize>(), 4 + 2 + 5 + 2 + 2 + 3 + 1 + 2 + 3 + 1);
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

/// A log without its head states again what it does not know.
pub async fn a_row_that_knows_less_replaces_none_of_its_revision(place: &Place) {
    use BucketState::{Backfilled, Carried, Live, Missing, Unlisted};
    let stated = |state: BucketState, value: Option<i64>, revision: u16| {
        let known = bucket_row(bucket(9, 15), CALL, 0);
        let mut batch = Batch::new(date(), 42);
        batch.buckets = vec![BucketRow {
            state,
            revision,
            open_interest: value,
            event_time: known.event_time.filter(|_| value.is_some()),
            received_time: known.received_time.filter(|_| value.is_some()),
            ..known
        }];
        let event_time = value.map(|_| at(9, 15, 30));
        batch.underlyings =
            vec![UnderlyingRow { revision, ..underlying_row(bucket(9, 15), state, event_time) }];
        batch
    };
    let (mut store, reader) = place.with(&[batch()]).await;
    for (step, (state, value, revision), expected) in [
        ("seen in the bucket, though missing", (Missing, Some(1), 1), (Missing, Some(1))),
        ("nothing known", (Missing, None, 1), (Missing, Some(1))),
        ("not listed", (Unlisted, None, 1), (Missing, Some(1))),
        ("proved", (Backfilled, Some(2), 1), (Backfilled, Some(2))),
        ("missing after it was proved", (Missing, Some(3), 1), (Backfilled, Some(2))),
        ("not listed after it was proved", (Unlisted, None, 1), (Backfilled, Some(2))),
        ("a lower revision", (Missing, None, 0), (Backfilled, Some(2))),
        ("observed otherwise", (Carried, Some(4), 1), (Carried, Some(4))),
        ("told again a revision later", (Missing, None, 2), (Missing, None)),
        ("nothing known, once more", (Unlisted, None, 2), (Unlisted, None)),
        ("and back", (Missing, None, 2), (Missing, None)),
        ("live at last", (Live, Some(5), 2), (Live, Some(5))),
        ("as often as is counted", (Live, Some(6), BucketRow::REVISION_MAX), (Live, Some(6))),
        ("taken back after that", (Missing, None, BucketRow::REVISION_MAX), (Missing, None)),
    ] {
        store.append(&stated(state, value, revision)).await.expect("is written");
        let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a row");
        assert_eq!((history[0].state, history[0].open_interest), expected, "{step}");
        let (_, underlying) = place.select("SELECT state FROM intraday_underlying WHERE bucket = (SELECT MIN(bucket) FROM intraday_underlying)").await;
        assert_eq!(underlying[0][0], Some(expected.0.code().to_string()), "{step}");
    }
}

/// Of a log that lost a part of its time, only what the store does not have is written.
pub async fn supplements_replace_nothing(place: &Place) {
    let stored = batch();
    let mut worse = stored.clone();
    worse.buckets.iter_mut().for_each(|row| (row.open_interest, row.revision) = (Some(1), 9));
    worse.underlyings.iter_mut().for_each(|row| row.revision = 9);
    worse.deltas.iter_mut().for_each(|row| row.old_open_interest = 1);
    worse.candles.iter_mut().for_each(|row| (row.volume, row.revision, row.resolve_required) = (1, 9, true));
    worse.closes.iter_mut().for_each(|row| {
        (row.open_interest, row.last_state, row.missing_buckets) = (Some(1), BucketState::Missing, 125);
    });
    let missing = run(CALL, bucket(9, 15), bucket(15, 27), BucketState::Missing);
    worse.coverage = vec![CoverageDay { instrument: CALL, date: date(), runs: vec![missing] }];
    let supplements = |of: &Batch| Supplements {
        buckets: of.buckets.clone(),
        underlyings: of.underlyings.clone(),
        deltas: of.deltas.clone(),
        candles: of.candles.clone(),
        closes: of.closes.clone(),
        coverage: of.coverage.clone(),
    };
    let with = |rows: Supplements| Batch { supplements: rows, ..Batch::new(date(), 42) };
    let (mut store, reader) = place.with(std::slice::from_ref(&stored)).await;
    let before = reader.dump_day(date()).await.expect("a dump");
    let batch = with(supplements(&worse));
    assert_eq!(batch.outcome_row_count(), 5 + 2 + 2 + 4 + 2 + 1);
    store.append(&batch).await.expect("is written");
    assert_eq!(reader.dump_day(date()).await.expect("a dump"), before);

    // A close of a later time is a later close; which buckets are missing, the lost part knew.
    worse.closes.iter_mut().for_each(|row| row.event_time = at(15, 59, 0));
    store.append(&with(supplements(&worse))).await.expect("is written");
    let question = "SELECT DISTINCT oi, last_state, missing_buckets FROM daily_option_oi";
    let (_, closes) = place.select(question).await;
    let close = stored.closes[0];
    let expected = ["1", &close.last_state.code().to_string(), &close.missing_buckets.to_string()];
    assert_eq!(closes, [texts(&expected)]);

    // What the store does not have is written as it is.
    let mut absent = Supplements {
        buckets: vec![bucket_row(bucket(9, 30), CALL, 7)],
        candles: vec![candle(CALL, CandleInterval::FiveMinutes, at(9, 30, 0))],
        ..Supplements::default()
    };
    let unknown = run(INDEX, bucket(9, 15), bucket(9, 18), BucketState::Missing);
    absent.coverage.push(CoverageDay { instrument: INDEX, date: date(), runs: vec![unknown] });
    store.append(&with(absent.clone())).await.expect("is written");
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("rows");
    assert!(history.contains(&absent.buckets[0]), "{history:?}");
    let candles = reader.candles("NIFTY 2026-02-03 25000 CE", CandleInterval::FiveMinutes, date()).await;
    assert!(candles.expect("candles").contains(&absent.candles[0]));
    let (_, runs) = place.select("SELECT state FROM coverage WHERE instrument = 1").await;
    assert_eq!(runs, [texts(&["4"])]);
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

pub async fn what_came_of_records_that_leave_the_log_is_taken_back(place: &Place) {
    let (mut store, reader) = place.with(&[batch(), Batch::new(day(31), 50)]).await;
    assert_eq!(store.checkpoint().await.expect("read").map(|checkpoint| checkpoint.spool_seq), Some(50));
    place
        .execute(
            "INSERT INTO instruments (id, exchange, symbol, underlying, kind, lot_size, tick_size_e4, first_seen, last_seen) \
             VALUES (99, 'NSE', 'OLD', 'OLD', 'index', 1, 5, '2026-01-02', '2026-01-30'); \
             UPDATE daily_option_oi SET official_oi = 7 WHERE instrument = 2",
        )
        .await;
    let before = reader.dump_day(day(30)).await.expect("a day");
    assert!(before.len() > 7, "{:?}", before.keys());
    let taken_back = Checkpoint { session_date: day(30), spool_seq: 12 };
    for _ in 0..2 {
        store.forget_from(taken_back).await.expect("taken back");
        assert_eq!(store.checkpoint().await, Ok(Some(taken_back)));
        assert!(reader.dump_day(day(30)).await.expect("a day").is_empty());
    }
    let (_, old) = place.select("SELECT symbol, last_seen FROM instruments ORDER BY id").await;
    assert_eq!(old, [texts(&["OLD", "2026-01-29"])], "what was known before stays");
    let (_, official) = place.select("SELECT official_oi FROM daily_option_oi ORDER BY instrument").await;
    assert_eq!(official, [texts(&["7"])], "the exchange's figures are no outcome of the log");
    store.append(&batch()).await.expect("written");
    let after = reader.dump_day(day(30)).await.expect("a day");
    assert_eq!(after.get("intraday_option_oi"), before.get("intraday_option_oi"));
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
