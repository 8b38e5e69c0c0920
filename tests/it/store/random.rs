//! Random batches leave the same days in SQLite and in PostgreSQL, however they are cut and repeated.

use super::{place::Place, sample};
use bhavd::{
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, CoverageRun, DayClose, InstrumentId, OiBase,
        OiDelta, OptionType, Price, Provider, UnderlyingRow, UnresolvedCandle,
    },
    store::{Batch, CoverageDay, GapRow, Reader, Store},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

const CASES: u32 = 24;

fn provider() -> impl Strategy<Value = Provider> {
    prop_oneof![Just(Provider::AngelOne), Just(Provider::Nse)]
}

fn state() -> impl Strategy<Value = BucketState> {
    prop::sample::select(BucketState::ALL.to_vec())
}

/// Few instruments and buckets, so that keys meet.
fn instrument() -> impl Strategy<Value = InstrumentId> {
    (1_u32..=4).prop_map(InstrumentId)
}

fn bucket() -> impl Strategy<Value = Bucket> {
    (0_i64..4).prop_map(|index| Bucket::containing(sample::at(9, 15, 0).plus_us(index * Bucket::LENGTH_US)))
}

fn bucket_row() -> impl Strategy<Value = BucketRow> {
    let base = prop::option::of(prop::sample::select(OiBase::ALL.to_vec()));
    let values = (
        prop::option::of(any::<i64>()),
        prop::option::of(any::<i64>()),
        prop::option::of(0..i64::MAX),
        base,
        prop::option::of(any::<i64>()),
    );
    (bucket(), instrument(), values, state(), prop::option::of(provider()), 0_u16..3).prop_map(
        |(bucket, instrument, (oi, price_e4, time_us, oi_base, quoted), state, provider, revision)| {
            BucketRow {
                open_interest: oi,
                oi_base,
                bid: quoted.map(Price::from_e4),
                ask: quoted.map(|ask_e4| Price::from_e4(!ask_e4)),
                implied_volatility_e4: quoted,
                last_price: price_e4.map(Price::from_e4),
                volume: time_us,
                state,
                provider,
                revision,
                ..sample::bucket_row(bucket, instrument, 0)
            }
        },
    )
}

fn underlying() -> impl Strategy<Value = UnderlyingRow> {
    let event_time = prop::option::of(-200_i64..200);
    (bucket(), instrument(), state(), prop::option::of(provider()), event_time, 0_u16..3).prop_map(
        |(bucket, instrument, state, provider, second, revision)| UnderlyingRow {
            bucket,
            instrument,
            state,
            provider,
            event_time: second.map(|second| bucket.start().plus_seconds(second)),
            revision,
        },
    )
}

fn delta() -> impl Strategy<Value = OiDelta> {
    (instrument(), 0_i64..3, 0_u16..2, 0..i64::MAX, 0..i64::MAX, provider()).prop_map(
        |(instrument, second, seq, old, new, provider)| OiDelta {
            instrument,
            event_time: sample::at(9, 16, 0).plus_seconds(second),
            seq,
            old_open_interest: old,
            new_open_interest: new,
            provider,
            received_time: sample::at(9, 17, 0),
        },
    )
}

/// What a candle and its mark are known by.
fn candle_key() -> impl Strategy<Value = UnresolvedCandle> {
    let interval = prop::sample::select(vec![
        CandleInterval::ThreeMinutes,
        CandleInterval::FiveMinutes,
        CandleInterval::Day,
    ]);
    (instrument(), interval, 0_i64..3).prop_map(|(instrument, interval, index)| {
        let start = sample::at(9, 15, 0).plus_seconds(index * 60 * interval.minutes().min(5));
        UnresolvedCandle { instrument, interval, start }
    })
}

fn candle() -> impl Strategy<Value = Candle> {
    (candle_key(), any::<i64>(), 0_u16..3, prop::bool::weighted(0.2)).prop_map(
        |(key, volume, revision, resolve_required)| {
            let candle = sample::candle(key.instrument, key.interval, key.start);
            Candle { volume, revision, resolve_required, ..candle }
        },
    )
}

fn close() -> impl Strategy<Value = DayClose> {
    (instrument(), prop::option::of(any::<i64>()), 0_i64..3, state(), any::<u16>()).prop_map(
        |(instrument, open_interest, second, last_state, missing_buckets)| {
            let close = sample::close(sample::date(), instrument, open_interest);
            let event_time = close.event_time.plus_seconds(second);
            DayClose { event_time, last_state, missing_buckets, ..close }
        },
    )
}

fn coverage() -> impl Strategy<Value = CoverageDay> {
    (instrument(), vec((bucket(), state(), prop::option::of(provider())), 0..3)).prop_map(
        |(instrument, runs)| {
            let run = |(bucket, state, provider)| CoverageRun {
                instrument,
                from_bucket: bucket,
                to_bucket: bucket,
                state,
                provider,
            };
            CoverageDay { instrument, date: sample::date(), runs: runs.into_iter().map(run).collect() }
        },
    )
}

fn gap() -> impl Strategy<Value = GapRow> {
    (0_i64..2, 0_i64..100, prop::option::of(provider()), "[a-zé|\\\\']{0,8}").prop_map(
        |(from, length, provider, reason)| {
            let from = sample::at(9, 20, 0).plus_seconds(from);
            GapRow { from, to: from.plus_seconds(length), provider, part: String::new(), reason }
        },
    )
}

fn batch() -> impl Strategy<Value = Batch> {
    let contracts = (vec(bucket_row(), 0..40), vec(delta(), 0..8), vec(close(), 0..4));
    let candles = (vec(candle(), 0..8), vec(candle_key(), 0..4), vec(underlying(), 0..8));
    (contracts, candles, vec(coverage(), 0..4), vec(gap(), 0..3), 0_u64..100).prop_map(
        |((buckets, deltas, closes), (candles, unresolved, underlyings), coverage, gaps, spool_seq)| Batch {
            buckets,
            deltas,
            closes,
            candles,
            unresolved,
            underlyings,
            coverage,
            gaps,
            ..Batch::new(sample::date(), spool_seq)
        },
    )
}

#[test]
fn sqlite_and_postgresql_keep_the_same_day() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(batch(), 1..4), |batches| {
        runtime.block_on(async {
            let first = sample::batch();
            let (sqlite, postgres) = (Place::sqlite(), Place::postgres().await);
            let mut days = Vec::new();
            for place in [&sqlite, &postgres] {
                let mut store = place.open().await;
                let start = Batch { instruments: first.instruments.clone(), ..Batch::new(sample::date(), 0) };
                for batch in [&start].into_iter().chain(&batches).chain(batches.last()) {
                    store.append(batch).await.expect("is written");
                }
                let reader = Reader::open(&place.url).await.expect("opens");
                let chain = reader.chain_at("NIFTY", None, sample::at(9, 30, 0)).await.expect("a chain");
                let option = sample::option(250_000_000, OptionType::Put);
                let history = reader.oi_history(&option, sample::date()).await.expect("a history");
                let mut candles = Vec::new();
                for interval in
                    [CandleInterval::ThreeMinutes, CandleInterval::FiveMinutes, CandleInterval::Day]
                {
                    let of_interval = reader.candles("NIFTY", interval, sample::date()).await;
                    candles.extend(of_interval.expect("candles"));
                }
                let view = "SELECT * FROM option_snapshots_e4 ORDER BY bucket, expiry, strike_e4";
                let view = place.select(view).await;
                let summary = reader.summary(sample::date()).await.expect("a summary");
                let coverage = reader.coverage(sample::date()).await.expect("coverage");
                let dump = reader.dump_day(sample::date()).await.expect("a dump");
                days.push((dump, chain, history, candles, summary, coverage, view, store.checkpoint().await));
            }
            prop_assert_eq!(&days[0], &days[1]);
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
