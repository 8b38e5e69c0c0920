use super::*;
use crate::market::Timestamp;
use crate::test_data;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = DepthEntry> {
    (0..2_u16, 0..10_000_i64, 0..1_000_000_i64, 0..500_u16)
        .prop_map(|(flag, quantity, price_paise, orders)| DepthEntry { flag, quantity, price_paise, orders })
}

fn day() -> impl Strategy<Value = DayStatistics> {
    (any::<[i64; 2]>(), 0..1_000_000_000_i64, -1e9..1e9_f64, -1e9..1e9_f64, any::<[i64; 4]>()).prop_map(
        |(first, volume, total_buy_quantity, total_sell_quantity, prices)| DayStatistics {
            last_quantity: first[0],
            average_price_paise: first[1],
            volume,
            total_buy_quantity,
            total_sell_quantity,
            open_paise: prices[0],
            high_paise: prices[1],
            low_paise: prices[2],
            close_paise: prices[3],
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    // Half of the books as a broker sends them: five buys before five sells.
    let depth = (proptest::collection::vec(entry(), 10), any::<bool>()).prop_map(|(mut depth, is_usual)| {
        for (index, entry) in depth.iter_mut().enumerate().filter(|_| is_usual) {
            entry.flag = if index < 5 { FLAG_BUY } else { FLAG_SELL };
        }
        depth
    });
    (any::<i64>(), 0..1_000_000_000_i64, -100.0..100.0_f64, depth, any::<[i64; 4]>()).prop_map(
        |(last_trade_time_s, open_interest, open_interest_change_percent, depth, limits)| Snapshot {
            last_trade_time_s,
            open_interest,
            open_interest_change_percent,
            depth: depth.try_into().expect("ten entries"),
            upper_circuit_paise: limits[0],
            lower_circuit_paise: limits[1],
            high_52_weeks_paise: limits[2],
            low_52_weeks_paise: limits[3],
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    let detail = prop_oneof![
        Just(Detail::Ltp),
        day().prop_map(Detail::Quote),
        (day(), snapshot()).prop_map(|(day, snapshot)| Detail::SnapQuote(day, snapshot)),
    ];
    let segment = proptest::sample::select(Segment::ALL.to_vec());
    let time_ms = 1_600_000_000_000_i64..1_900_000_000_000;
    (segment, any::<u32>(), any::<i64>(), time_ms, 0..10_000_000_i64, detail).prop_map(
        |(segment, token, sequence, exchange_time_ms, last_price_paise, detail)| Packet {
            token: ProviderToken { segment, token },
            sequence,
            exchange_time_ms,
            last_price_paise,
            detail,
        },
    )
}

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode_into(&mut bytes);
    bytes
}

/// What a quote of `packet` has to be, found the slow way.
fn expected_quote(packet: &Packet) -> Quote {
    let (day, snapshot) = match &packet.detail {
        Detail::Ltp => (None, None),
        Detail::Quote(day) => (Some(day), None),
        Detail::SnapQuote(day, snapshot) => (Some(day), Some(snapshot)),
    };
    let best = |flag: u16| {
        let mut levels = snapshot?.depth.iter().filter(|entry| entry.flag == flag && entry.price_paise != 0);
        Price::from_paise(levels.next()?.price_paise)
    };
    let is_fo = matches!(packet.token.segment, Segment::NseFo | Segment::BseFo);
    Quote {
        event_time: Timestamp::from_ms(packet.exchange_time_ms).expect("a time"),
        last_price: Told::zero_is_nothing(Price::from_paise(packet.last_price_paise).expect("a price")),
        open_interest: snapshot.filter(|_| is_fo).map(|snapshot| snapshot.open_interest),
        volume: day.map(|day| day.volume),
        // Only the mode with depth carries them.
        bid: snapshot.map_or(Told::NotTold, |_| best(FLAG_BUY).into()),
        ask: snapshot.map_or(Told::NotTold, |_| best(FLAG_SELL).into()),
        ..Quote::default()
    }
}

proptest! {
    #[test]
    fn packets_read_what_they_write(packet in packet()) {
        let bytes = encoded(&packet);
        prop_assert_eq!(bytes.len(), packet.mode().packet_bytes());
        prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
        prop_assert_eq!(decode_quote(&bytes), Ok((packet.token, expected_quote(&packet))));
    }

    #[test]
    fn every_other_length_is_refused(packet in packet(), length in 0..500_usize) {
        let mut bytes = encoded(&packet);
        prop_assume!(length != bytes.len());
        bytes.resize(length, 0);
        let wrong_length = |error: WireError| matches!(error, WireError::Length { .. });
        prop_assert!(Packet::decode(&bytes).is_err_and(wrong_length));
        prop_assert!(decode_quote(&bytes).is_err_and(wrong_length));
    }
}

fn snap_quote() -> Vec<u8> {
    let mut snapshot = Snapshot { open_interest: 650, ..Snapshot::default() };
    snapshot.depth[0] = DepthEntry::buy(10_000, 65, 1);
    snapshot.depth[5] = DepthEntry::sell(10_010, 65, 1);
    encoded(&Packet {
        token: ProviderToken { segment: Segment::NseFo, token: 54_786 },
        sequence: 1,
        exchange_time_ms: 1_769_744_700_000,
        last_price_paise: 10_005,
        detail: Detail::SnapQuote(DayStatistics::default(), snapshot),
    })
}

#[test]
fn absurd_values_are_errors_that_say_where() {
    for (offset, value, field) in [
        (35, -1_i64, "exchange time"),
        (35, 0, "exchange time"),
        (35, 1_769_744_700, "exchange time"),
        (43, -5, "last price"),
        (43, i64::MAX, "last price"),
        (67, -1, "volume"),
        (131, -1, "open interest"),
        (131, 4_584_350_709_158_701_777, "open interest"),
        (157, -10_000, "depth price"),
    ] {
        let mut bytes = snap_quote();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        match decode_quote(&bytes) {
            Err(WireError::Field { offset: at, field: named, .. }) => {
                assert_eq!((at, named), (offset, field));
            }
            other => panic!("{field} {value}: {other:?}"),
        }
    }
    for (offset, byte) in [(0, 4_u8), (0, 0), (1, 0), (1, 5), (1, 13)] {
        let mut bytes = snap_quote();
        bytes[offset] = byte;
        let error = decode_quote(&bytes).expect_err("nothing bhavd records");
        assert!(
            matches!(error, WireError::Unsupported { offset: at, .. } if at == offset),
            "{offset} {byte}: {error}"
        );
    }
    for token in [&b""[..], b"12a", b"-1", b" 1", b"4294967296", b"99999999999999999999999"] {
        let mut bytes = snap_quote();
        bytes[TOKEN..TOKEN + TOKEN_BYTES].fill(0);
        bytes[TOKEN..TOKEN + token.len()].copy_from_slice(token);
        assert!(matches!(decode_quote(&bytes), Err(WireError::Field { field: "token", .. })), "{token:?}");
    }
}

#[test]
fn recorded_ticks_decode_to_what_the_official_client_saw() {
    let Some(folder) = test_data::find("wire/angel_smartstream_v2") else { return };
    let files = std::fs::read_dir(&folder).expect("a readable directory");
    let mut seen = 0;
    for file in files {
        let path = file.expect("a directory entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Some(stem) = name.strip_suffix(".decoded.json") else { continue };
        let json = std::fs::read(&path).expect("a readable file");
        let decoded: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let tick = &decoded["tick"];
        let bytes = std::fs::read(folder.join(format!("{stem}.RECONSTRUCTED.bin"))).expect("its packet");
        let (token, quote) = decode_quote(&bytes).expect("a real packet");
        let packet = Packet::decode(&bytes).expect("a real packet");
        assert_eq!(encoded(&packet), bytes, "{stem}");

        let integer = |key: &str| tick[key].as_i64().expect("an integer");
        assert_eq!(token.token.to_string(), tick["token"].as_str().expect("a token"));
        assert_eq!(i64::from(token.segment.code()), integer("exchange_type"));
        assert_eq!(quote.event_time.as_ms(), integer("exchange_timestamp"));
        assert_eq!(quote.last_price.value(), Price::from_paise(integer("last_traded_price")));
        assert_eq!(quote.volume, Some(integer("volume_trade_for_the_day")));
        let is_fo = token.segment == Segment::NseFo;
        assert_eq!(quote.open_interest, is_fo.then(|| integer("open_interest")), "{stem}");
        // One recording comes of a client that had the two sides exchanged, flags and all but the names.
        let best = |flag: i64| {
            let sides = ["best_5_buy_data", "best_5_sell_data"];
            let mut levels = sides.iter().flat_map(|side| tick[side].as_array().expect("five levels"));
            let level = levels.find(|level| level["flag"] == flag && level["price"] != 0)?;
            Price::from_paise(level["price"].as_i64()?)
        };
        assert_eq!((quote.bid.value(), quote.ask.value()), (best(1), best(0)), "{stem}");
        assert!(quote.bid.value() < quote.ask.value(), "{stem}: {quote:?}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
