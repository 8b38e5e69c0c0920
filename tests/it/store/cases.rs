//! The cases. Each gets a place without a store.

use super::{place::Place, sample::*};
use bhavd::{
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, Contract, DayClose, Exchange, InstrumentId,
        OiBase, OptionType, Price, Provider, TradingDate, UnderlyingRow, UnresolvedCandle,
    },
    store::{
        self, Batch, Birth, Checkpoint, CoverageDay, DeltaFilter, ErrorClass, Fence, GapRow, InstrumentRow,
        JobRun, JobRunFilter, Reader, RunState, StateCounts, Store, StoreError,
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
    ] {
        store.append(&stated(state, value, revision)).await.expect("is written");
        let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a row");
        assert_eq!((history[0].state, history[0].open_interest), expected, "{step}");
        let (_, underlying) = place.select("SELECT state FROM intraday_underlying WHERE bucket = (SELECT MIN(bucket) FROM intraday_underlying)").await;
        assert_eq!(underlying[0][0], Some(expected.0.code().to_string()), "{step}");
    }
}

pub async fn an_underlying_that_was_not_observed_has_no_prices(place: &Place) {
    let mut first = batch();
    first.underlyings.clear();
    let (mut store, reader) = place.with(&[first]).await;
    let shown = async || {
        let chain = reader.chain_at("NIFTY", None, at(9, 17, 0)).await.expect("a chain");
        let (_, view) =
            place.select("SELECT index_close, index_volume, index_state FROM option_snapshots").await;
        let prices = view[0][..2].to_vec();
        assert_eq!(prices, texts(if chain[0].index.is_some() { &["25275", "12345"] } else { &["NULL"; 2] }));
        assert_eq!(view[0][2].as_deref(), chain[0].index_state.map(BucketState::name));
        (chain[0].index.is_some(), chain[0].index_state)
    };
    assert_eq!(shown().await, (true, None), "a store that does not say");
    let row = |state, event_time, revision| {
        let mut batch = Batch::new(date(), 42);
        batch.underlyings =
            vec![UnderlyingRow { revision, ..underlying_row(bucket(9, 15), state, event_time) }];
        batch
    };
    let (before, within) = (Some(at(9, 14, 59)), Some(at(9, 15, 0)));
    for (revision, state, event_time, expected) in [
        (0, BucketState::Live, within, true),
        (1, BucketState::Missing, None, false),
        (2, BucketState::Missing, before, false),
        (3, BucketState::Missing, within, true),
        (4, BucketState::Backfilled, before, true),
        (5, BucketState::Carried, before, true),
        (6, BucketState::Missing, None, false),
    ] {
        store.append(&row(state, event_time, revision)).await.expect("is written");
        assert_eq!(shown().await, (expected, Some(state)), "{event_time:?}");
    }
    store.append(&row(BucketState::Live, within, 5)).await.expect("is written");
    assert_eq!(shown().await, (false, Some(BucketState::Missing)), "a lower revision");
}

/// The candles of [`candle_keys`]' instrument, longest last.
async fn candles_of_index(reader: &Reader) -> Vec<Candle> {
    let mut candles = Vec::new();
    for UnresolvedCandle { interval, .. } in candle_keys() {
        candles.extend(reader.candles("NIFTY", interval, date()).await.expect("candles"));
    }
    candles
}

fn candle_keys() -> [UnresolvedCandle; 3] {
    [CandleInterval::ThreeMinutes, CandleInterval::FiveMinutes, CandleInterval::Day]
        .map(|interval| UnresolvedCandle { instrument: INDEX, interval, start: at(9, 15, 0) })
}

pub async fn a_candle_keeps_its_mark_whatever_replaces_it(place: &Place) {
    let revised = |rows: &[(u16, i64, bool)]| {
        let mut batch = batch();
        batch.candles.clear();
        for (revision, volume, resolve_required) in rows.iter().copied() {
            batch.candles.extend(candle_keys().map(|UnresolvedCandle { interval, start, .. }| Candle {
                revision,
                volume,
                resolve_required,
                ..candle(INDEX, interval, start)
            }));
        }
        batch
    };
    let (mut store, reader) = place.with(&[revised(&[(1, 100, false)])]).await;
    for (rows, expected) in [
        (&[(1, 200, false)][..], (1, 200, false)),
        // Marks without replacing anything.
        (&[(0, 300, true)], (1, 200, true)),
        (&[(2, 400, false)], (2, 400, true)),
        (&[(1, 500, false)], (2, 400, true)),
        (&[(2, 600, true), (3, 700, false)], (3, 700, true)),
    ] {
        store.append(&revised(rows)).await.expect("is written");
        for candle in candles_of_index(&reader).await {
            let found = (candle.revision, candle.volume, candle.resolve_required);
            assert_eq!(found, expected, "{:?} after {rows:?}", candle.interval);
        }
    }
    place.execute("DELETE FROM price_history_intraday; DELETE FROM price_history_daily").await;
    store.append(&revised(&[(0, 100, true), (1, 200, false)])).await.expect("is written");
    let candles = candles_of_index(&reader).await;
    assert_eq!(candles.len(), 3);
    assert!(candles.iter().all(|candle| candle.resolve_required && candle.volume == 200), "{candles:?}");
}

pub async fn unresolved_candles_are_marked(place: &Place) {
    let first = batch();
    let (mut store, reader) = place.with(std::slice::from_ref(&first)).await;
    let marked = async || {
        let marked = candles_of_index(&reader).await;
        marked.iter().map(|candle| candle.resolve_required).collect::<Vec<_>>()
    };
    assert_eq!(marked().await, [false; 3]);
    let keys = candle_keys();
    let mut second = Batch::new(date(), 42);
    second.unresolved = vec![
        keys[2],
        keys[0],
        keys[0],
        // Not stored.
        UnresolvedCandle { start: at(9, 20, 0), ..keys[1] },
        UnresolvedCandle { instrument: LONELY_CALL, ..keys[2] },
        UnresolvedCandle { interval: CandleInterval::ThreeMinutes, instrument: CALL, ..keys[0] },
    ];
    store.append(&second).await.expect("is written");
    assert_eq!(marked().await, [true, false, true]);
    let others = reader.candles("NIFTY 2026-02-03 25000 CE", CandleInterval::FiveMinutes, date()).await;
    assert_eq!(others, Ok(vec![first.candles[2]]), "others stay as they are");
    let unmarked = candles_of_index(&reader).await.into_iter();
    let unmarked: Vec<Candle> = unmarked.map(|candle| Candle { resolve_required: false, ..candle }).collect();
    assert_eq!(unmarked, [first.candles[0], first.candles[1], first.candles[3]], "only the mark changes");
    let before = reader.dump_day(date()).await.expect("a dump");
    for batch in [&second, &first, &second] {
        store.append(batch).await.expect("is written again");
        assert_eq!(reader.dump_day(date()).await.expect("a dump"), before);
    }
    // A candle and its mark in one batch; a start within the day names the day.
    let next = day(31);
    let start = at(9, 15, 0).plus_seconds(86_400);
    let mut third = Batch::new(next, 43);
    third.candles = [CandleInterval::FiveMinutes, CandleInterval::Day]
        .map(|interval| candle(INDEX, interval, start))
        .to_vec();
    third.unresolved = vec![
        UnresolvedCandle { start, ..keys[1] },
        UnresolvedCandle { start: start.plus_seconds(60), ..keys[2] },
    ];
    store.append(&third).await.expect("is written");
    for interval in [CandleInterval::FiveMinutes, CandleInterval::Day] {
        let candles = reader.candles("NIFTY", interval, next).await.expect("a candle");
        assert!(candles[0].resolve_required, "{interval:?}");
    }
    assert_eq!(reader.dump_day(date()).await.expect("a dump"), before, "of another day");
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
         pe_volume index_open index_high index_low index_close index_volume ce_state pe_state provider \
         index_state ce_oi_base pe_oi_base ce_bid ce_ask ce_iv pe_bid pe_ask pe_iv"
    );
    let index = ["25278.9", "25280.05", "25270", "25275", "12345"];
    let none = ["NULL"; 5];
    let quoted = ["123.4", "123.5", "12.34"];
    let first = [
        &["2026-01-30 09:15:00", "NIFTY", "2026-02-03", "25000", "65000", "64000", "123.45", "2600"][..],
        &["130000", "129000", "0.05", "2600"],
        &index,
        &["live", "carried", "angel_one", "live", "provider", "provider"],
        &quoted,
        &quoted,
    ];
    let one_sided = [
        &["2026-01-30 09:15:00", "NIFTY", "2026-02-03", "25050", "6500", "5500", "123.45", "2600"][..],
        &["NULL", "NULL", "NULL", "NULL"],
        &index,
        &["live", "NULL", "angel_one", "live", "provider", "NULL"],
        &quoted,
        &["NULL", "NULL", "NULL"],
    ];
    let without_candle = [
        &["2026-01-30 09:18:00", "NIFTY", "2026-02-03", "25000", "65065", "64065", "123.45", "2600"][..],
        &["NULL", "NULL", "NULL", "NULL"],
        &none,
        &["live", "missing", "angel_one", "missing", "provider", "NULL"],
        &quoted,
        &["NULL", "NULL", "NULL"],
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
    assert_eq!(names.join(" "), "time_ist symbol open high low close volume resolve_required");
    let prices = ["25278.9", "25280.05", "25270", "25275", "12345", "0"];
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

pub async fn what_is_not_listed_yet_counts_as_nothing(place: &Place) {
    const NEVER: InstrumentId = InstrumentId(5);
    let batch = batch();
    let (mut store, reader) = place.with(std::slice::from_ref(&batch)).await;
    let before = reader.summary(date()).await.expect("a summary");
    let report = reader.coverage(date()).await.expect("a report");
    let mut unlisted = Batch::new(date(), 42);
    unlisted.instruments = vec![instrument(NEVER, option(250_500_000, OptionType::Put))];
    let unlisted_row = |bucket, instrument| BucketRow {
        state: BucketState::Unlisted,
        provider: None,
        event_time: None,
        received_time: None,
        ..bucket_row(bucket, instrument, 0)
    };
    // A contract listed at 09:15, one that is not listed for the whole of the day, and a bucket without any other row.
    let (early, first, second) = (bucket(9, 12), bucket(9, 15), bucket(9, 18));
    unlisted.buckets = vec![
        unlisted_row(early, LONELY_CALL),
        unlisted_row(early, NEVER),
        unlisted_row(first, NEVER),
        unlisted_row(second, NEVER),
    ];
    let runs_of = |instrument, runs| CoverageDay { instrument, date: date(), runs };
    unlisted.coverage = vec![
        runs_of(NEVER, vec![run(NEVER, early, second, BucketState::Unlisted)]),
        runs_of(
            LONELY_CALL,
            vec![
                run(LONELY_CALL, early, early, BucketState::Unlisted),
                run(LONELY_CALL, first, first, BucketState::Live),
            ],
        ),
    ];
    store.append(&unlisted).await.expect("is written");
    let after = reader.summary(date()).await.expect("a summary");
    let coverage = StateCounts { live: 3, unlisted: 4, ..before.coverage };
    assert_eq!(after, store::DaySummary { coverage, ..before });
    assert_eq!(after.coverage.total(), before.coverage.total() + 1);
    let counted = reader.coverage(date()).await.expect("a report");
    assert_eq!(counted.states, coverage);
    let (row, row_before) = (&counted.underlyings[0], &report.underlyings[0]);
    assert_eq!((row.contracts, row.present), (row_before.contracts + 1, row_before.present));
    assert_eq!((row.expected, row.states), (row_before.expected + 1, coverage));
    let states = reader.bucket_states(date()).await.expect("states");
    let of = |bucket| -> Vec<_> {
        let of_bucket = states.iter().filter(|row| row.bucket == bucket);
        of_bucket.map(|row| (row.state, row.contracts)).collect()
    };
    assert_eq!(of(early), [(BucketState::Unlisted, 2)]);
    assert_eq!(of(first), [(BucketState::Live, 2), (BucketState::Carried, 1), (BucketState::Unlisted, 1)]);
    let history = reader.oi_history(&option(250_500_000, OptionType::Put), date()).await.expect("a history");
    assert_eq!(history, unlisted.buckets[1..]);
    let chain = reader.chain_at("NIFTY", None, at(9, 15, 0)).await.expect("a chain");
    assert_eq!(chain[1].put.map(|side| side.state), Some(BucketState::Unlisted));
    let (_, view) =
        place.select("SELECT pe_state FROM option_snapshots WHERE strike = 25050 ORDER BY time_ist").await;
    assert_eq!(view, [texts(&["unlisted"]), texts(&["unlisted"]), texts(&["unlisted"])]);
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
    let question =
        "SELECT oi, difference, official_oi, finality, last_state, missing_buckets FROM daily_option_oi";
    for (seconds, open_interest, expected) in [(4, 900, ["1000", "500"]), (6, 1_600, ["1600", "-100"])] {
        store.append(&closes(seconds, open_interest)).await.expect("is written");
        let (_, rows) = place.select(question).await;
        assert_eq!(rows, [texts(&[&expected[..], &["1500", "final", "1", "0"]].concat())]);
    }
    // The same event, and more is known of the day.
    let mut restated = closes(6, 1_600);
    restated.closes[0] =
        DayClose { last_state: BucketState::Missing, missing_buckets: 125, ..restated.closes[0] };
    store.append(&restated).await.expect("is written");
    let (_, rows) = place.select(question).await;
    assert_eq!(rows, [texts(&["1600", "-100", "1500", "final", "4", "125"])]);
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

pub async fn the_bases_of_a_day_are_its_usable_figures(place: &Place) {
    const EXPIRING: InstrumentId = InstrumentId(5);
    let mut batch = batch();
    let expires_today =
        Contract::option(Exchange::Nse, "NIFTY", date(), Price::from_e4(250_000_000), OptionType::Call);
    batch.instruments.push(instrument(EXPIRING, expires_today));
    batch.closes = vec![
        close(date(), CALL, Some(100)),
        close(date(), PUT, Some(200)),
        close(date(), LONELY_CALL, None),
        close(date(), EXPIRING, Some(400)),
        close(date(), INDEX, Some(500)),
        close(day(29), LONELY_CALL, Some(600)),
    ];
    let (close_of_day, before) = (at(15, 30, 0), at(15, 29, 59));
    batch.closes[1].event_time = before;
    let (_store, reader) = place.with(&[batch]).await;
    let bases = async |change: &str| {
        place.execute(change).await;
        reader.day_bases(date(), close_of_day).await.expect("readable")
    };
    let set = |id: InstrumentId, what: &str| {
        format!(
            "UPDATE daily_option_oi SET {what} WHERE instrument = {} AND trading_date = '2026-01-30'",
            id.0
        )
    };
    let (provisional, own_final) = (OiBase::OwnProvisional, OiBase::OwnFinal);
    let call = (CALL, 100, provisional);
    assert_eq!(bases("").await, [call, (PUT, 200, provisional)]);
    assert_eq!(bases(&set(PUT, "finality = 'final'")).await, [call, (PUT, 200, own_final)]);
    assert_eq!(bases(&set(PUT, "last_state = 2")).await, [call, (PUT, 200, own_final)]);
    assert_eq!(bases(&set(PUT, "last_state = 4")).await, [call], "perhaps not the last");
    assert_eq!(bases(&set(PUT, "last_state = NULL")).await, [call], "not known");
    assert_eq!(bases(&set(CALL, "last_state = 4")).await, [call], "of the close");
    assert_eq!(bases(&set(CALL, "last_state = NULL")).await, [call], "of the close");
    for official in ["official_oi = 0", "oi = NULL"] {
        assert_eq!(bases(&set(PUT, official)).await, [call, (PUT, 0, OiBase::Official)]);
    }
    let lonely = (LONELY_CALL, 450, OiBase::Official);
    assert_eq!(
        bases(&set(LONELY_CALL, "official_oi = 450")).await,
        [call, (PUT, 0, OiBase::Official), lonely]
    );
    assert_eq!(bases(&set(CALL, "event_time = NULL")).await, [(PUT, 0, OiBase::Official), lonely]);
    let before = reader.day_bases(day(29), at(15, 30, 0).plus_seconds(-86_400)).await;
    assert_eq!(before, Ok(vec![(LONELY_CALL, 600, provisional)]));
    assert_eq!(reader.day_bases(day(28), close_of_day).await, Ok(Vec::new()), "of no other date");
}

pub async fn the_contracts_of_a_day_are_found(place: &Place) {
    const EXPIRING: InstrumentId = InstrumentId(5);
    const GONE: InstrumentId = InstrumentId(6);
    const COVERED: InstrumentId = InstrumentId(7);
    let mut batch = batch();
    let of = |id, expiry, strike_e4| {
        let strike = Price::from_e4(strike_e4);
        instrument(id, Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call))
    };
    batch.instruments.extend([
        of(EXPIRING, date(), 250_000_000),
        of(GONE, expiry(), 240_000_000),
        of(COVERED, expiry(), 240_500_000),
    ]);
    batch.instruments[5].first_seen = day(20);
    batch.instruments[5].last_seen = day(28);
    batch.instruments[6].last_seen = day(31);
    batch.buckets.push(bucket_row(bucket(9, 15), EXPIRING, 1));
    let yesterday = Bucket::containing(at(9, 15, 0).plus_seconds(-86_400));
    batch.buckets.push(bucket_row(yesterday, GONE, 1));
    let runs = vec![run(COVERED, bucket(9, 15), bucket(9, 18), BucketState::Missing)];
    batch.coverage.push(CoverageDay { instrument: COVERED, date: date(), runs });
    let (_store, reader) = place.with(std::slice::from_ref(&batch)).await;
    let ids = |rows: Result<Vec<InstrumentRow>, StoreError>| {
        rows.expect("readable").into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(reader.recorded_contracts(date()).await), [CALL, PUT, LONELY_CALL, COVERED]);
    assert_eq!(ids(reader.recorded_contracts(day(29)).await), [GONE]);
    assert_eq!(ids(reader.recorded_contracts(day(31)).await), []);
    let rows = reader.recorded_contracts(day(29)).await;
    assert_eq!(rows, Ok(vec![batch.instruments[5].clone()]), "with its terms");

    let expected = async |date, seen_since| ids(reader.contracts_expected(date, seen_since).await);
    assert_eq!(expected(date(), date()).await, [CALL, PUT, LONELY_CALL, EXPIRING, COVERED]);
    assert_eq!(expected(date(), day(28)).await, [CALL, PUT, LONELY_CALL, EXPIRING, GONE, COVERED]);
    assert_eq!(expected(day(31), day(31)).await, [COVERED]);
    assert_eq!(expected(day(29), day(28)).await, [GONE], "the others were not seen yet");
    assert_eq!(expected(expiry().succ_opt().expect("a date"), day(1)).await, [], "expired");

    assert_eq!(reader.last_recorded(day(31)).await, Ok(Some(date())));
    assert_eq!(reader.last_recorded(date()).await, Ok(Some(day(29))));
    assert_eq!(reader.last_recorded(day(29)).await, Ok(None));
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
    place.execute(migrations(place).0[0]).await;
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
        [FIRST_VERSION, "20260102000000", "20260103000000", "20260104000000"]
            .map(|version| texts(&[version]))
    );
    place.open().await;
}

macro_rules! migrations_of {
    ($database:literal) => {
        (
            [
                include_str!(concat!("../../../migrations/", $database, "/2026-01-01-000000_record/up.sql")),
                include_str!(concat!(
                    "../../../migrations/",
                    $database,
                    "/2026-01-02-000000_gap_parts/up.sql"
                )),
                include_str!(concat!(
                    "../../../migrations/",
                    $database,
                    "/2026-01-03-000000_job_runs/up.sql"
                )),
            ],
            include_str!(concat!("../../../migrations/", $database, "/2026-01-04-000000_evidence/down.sql")),
        )
    };
}

/// The statements that make a store of the version before the evidence, and those that lead back to it.
fn migrations(place: &Place) -> ([&'static str; 3], &'static str) {
    match place.url.starts_with("sqlite:") {
        true => migrations_of!("sqlite"),
        false => migrations_of!("postgres"),
    }
}

pub async fn a_store_of_before_the_evidence_keeps_its_rows(place: &Place) {
    for schema in migrations(place).0 {
        place.execute(schema).await;
    }
    let [nine_fifteen, nine_eighteen, close] =
        [at(9, 15, 0), at(9, 18, 0), at(15, 30, 0)].map(|instant| instant.as_us());
    let rows = format!(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES \
         ('20260101000000'), ('20260102000000'), ('20260103000000'); \
         INSERT INTO store_identity (id, birth) VALUES (1, 'real'); \
         INSERT INTO providers (code, name) VALUES (1, 'angel_one'), (2, 'nse'); \
         INSERT INTO bucket_states (code, name) VALUES (1, 'live'), (2, 'carried'), (3, 'backfilled'), (4, 'missing'); \
         INSERT INTO checkpoints (session_date, spool_seq) VALUES ('2026-01-30', 41); \
         INSERT INTO instruments VALUES \
         (1, 'NSE', 'NIFTY', 'NIFTY', 'index', NULL, NULL, NULL, 1, 500, '2026-01-30', '2026-01-30'), \
         (2, 'NSE', 'NIFTY 2026-02-03 25000 CE', 'NIFTY', 'option', '2026-02-03', 250000000, 'CE', 65, 500, \
          '2026-01-30', '2026-01-30'); \
         INSERT INTO intraday_option_oi VALUES \
         ({nine_fifteen}, 2, 65000, 64000, 1234500, 2600, 1234000, 1235000, 123400, 1, 1, {nine_fifteen}, {nine_fifteen}, 0), \
         ({nine_eighteen}, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4, NULL, NULL, NULL, 1); \
         INSERT INTO price_history_intraday \
         (instrument, interval_minutes, start, open_e4, high_e4, low_e4, close_e4, volume, provider, revision) VALUES \
         (1, 3, {nine_fifteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0), \
         (1, 3, {nine_eighteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0); \
         INSERT INTO price_history_daily \
         (instrument, date, start, open_e4, high_e4, low_e4, close_e4, volume, provider, revision) VALUES \
         (1, '2026-01-30', {nine_fifteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0); \
         INSERT INTO daily_option_oi (trading_date, instrument, oi, ltp_e4, volume, provider, event_time) VALUES \
         ('2026-01-30', 2, 65065, 1000000, 650, 2, {close}); \
         INSERT INTO coverage VALUES (2, {nine_fifteen}, {nine_fifteen}, 1, 1), (2, {nine_eighteen}, {nine_eighteen}, 4, NULL); \
         INSERT INTO gaps (from_time, provider, part, to_time, reason) VALUES \
         ({nine_eighteen}, 0, '', {nine_eighteen}, 'kept');"
    );
    place.execute(&rows).await;
    let view = "SELECT * FROM option_snapshots ORDER BY time_ist";
    let (old_names, old_rows) = place.select(view).await;
    assert_eq!(old_rows.len(), 2);

    let (mut store, reader) = place.with(&[]).await;
    let (names, rows) = place.select(view).await;
    assert_eq!(names[..old_names.len()], old_names, "columns keep their names and their order");
    let added = &names[old_names.len()..];
    assert_eq!(added.join(" "), "index_state ce_oi_base pe_oi_base ce_bid ce_ask ce_iv pe_bid pe_ask pe_iv");
    let kept: Vec<_> = rows.iter().map(|row| row[..old_names.len()].to_vec()).collect();
    assert_eq!(kept, old_rows, "the index is shown as before");
    let nothing = ["NULL"; 3];
    let new = [[nothing, ["123.4", "123.5", "12.34"], nothing], [nothing; 3]];
    for (row, new) in rows.iter().zip(new) {
        assert_eq!(row[old_names.len()..], texts(&new.concat()));
    }
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a history");
    let live = BucketRow {
        oi_base: None,
        event_time: Some(at(9, 15, 0)),
        received_time: Some(at(9, 15, 0)),
        ..bucket_row(bucket(9, 15), CALL, 65_000)
    };
    assert_eq!((history.len(), history[0], history[1].revision), (2, live, 1));
    let first_candle = candle(INDEX, CandleInterval::ThreeMinutes, at(9, 15, 0));
    let candles = reader.candles("NIFTY", CandleInterval::ThreeMinutes, date()).await.expect("candles");
    assert_eq!((candles.len(), candles[0]), (2, first_candle));
    let dump = reader.dump_day(date()).await.expect("a dump");
    let counts = dump.iter().map(|(table, lines)| format!("{table} {}", lines.len())).collect::<Vec<_>>();
    let expected = "coverage 2, daily_option_oi 1, gaps 1, instruments 2, intraday_option_oi 2, \
        price_history_daily 1, price_history_intraday 2";
    assert_eq!(counts.join(", "), expected);
    let close =
        format!("2026-01-30|NSE:NIFTY 2026-02-03 25000 CE|65065|1000000|650|2|{close}|||||provisional||");
    assert_eq!(dump["daily_option_oi"], [close], "last_state and missing_buckets are not known");

    // What is written from now on has its evidence, and what was written before can be written again.
    store.append(&batch()).await.expect("is written");
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a history");
    assert_eq!((history[0].oi_base, history[1].revision), (Some(OiBase::Provider), 1));
    let (_, states) = place.select("SELECT last_state FROM daily_option_oi ORDER BY instrument").await;
    assert_eq!(states, [texts(&["1"]), texts(&["1"])]);
}

pub async fn the_evidence_can_be_taken_back(place: &Place) {
    drop(place.with(&[batch()]).await);
    let view = "SELECT * FROM option_snapshots ORDER BY time_ist, strike";
    let (names, rows) = place.select(view).await;
    let (_, back) = migrations(place);
    place.execute(back).await;
    let (old_names, old_rows) = place.select(view).await;
    assert_eq!(names[..old_names.len()], old_names);
    let kept: Vec<_> = rows.iter().map(|row| row[..old_names.len()].to_vec()).collect();
    assert_eq!(kept, old_rows);
    place.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20260104000000'").await;
    place.with(&[batch()]).await;
    assert_eq!(place.select(view).await, (names, rows));
}
