//! Marks of candles.

use super::*;

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
