//! What the views show.

use super::*;

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

pub async fn a_volume_of_an_underlying_that_is_not_known_is_none(place: &Place) {
    let mut first = batch();
    first.candles.iter_mut().for_each(|candle| candle.volume = 0);
    let (_store, reader) = place.with(&[first]).await;
    let (_, view) = place.select("SELECT index_close, index_volume FROM option_snapshots").await;
    assert_eq!(view[0], texts(&["25275", "NULL"]));
    let (_, view) = place.select("SELECT symbol, volume FROM candles_5m ORDER BY symbol").await;
    assert_eq!(view, [["NIFTY", "NULL"], ["NIFTY 2026-02-03 25000 CE", "0"]].map(|row| texts(&row)));
    let chain = reader.chain_at("NIFTY", None, at(9, 17, 0)).await.expect("a chain");
    assert_eq!(chain[0].index.map(|index| index.volume), Some(None));
}
