//! What is kept and asked of days.

use super::*;

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
    assert_eq!(ids(reader.contracts_of(date()).await), [CALL, PUT, LONELY_CALL, EXPIRING, COVERED]);
    assert_eq!(ids(reader.contracts_of(day(28)).await), [GONE], "last seen then");

    assert_eq!(reader.last_recorded(day(31)).await, Ok(Some(date())));
    assert_eq!(reader.last_recorded(date()).await, Ok(Some(day(29))));
    assert_eq!(reader.last_recorded(day(29)).await, Ok(None));
    assert_eq!(reader.recorded_days().await, Ok([day(29), date()].into()));
}
