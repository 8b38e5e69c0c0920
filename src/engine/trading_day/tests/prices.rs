//! Prices that cannot be are found, and those of a natural market are not.

use super::*;
use crate::market::OptionType;

const RUPEE: i64 = 10_000;
const CONTRACTS: u32 = 12;
const LEVEL: u32 = CONTRACTS;

/// What a contract shows: price, bid and ask in e4, volume.
#[derive(Clone, Copy)]
struct Shown {
    price: i64,
    bid: i64,
    ask: i64,
    volume: i64,
}

/// A contract that is traded every minute, at a price of its own.
fn lively(minute: i64, slot: u32) -> Shown {
    let price = (20 + i64::from(slot) * 30 + minute % 7) * RUPEE;
    Shown { price, bid: price - RUPEE, ask: price + RUPEE, volume: (minute + 1) * 65 }
}

/// A chain of calls and puts, with its index at 25000.
struct Chain {
    played: Played,
    minute: i64,
}

impl Chain {
    /// Calls and puts of different strikes.
    fn new(class: ChainClass) -> Chain {
        Chain::with_strikes(class, |slot| 25_000 + i64::from(1 - slot % 2))
    }

    fn with_strikes(class: ChainClass, strike: impl Fn(u32) -> i64) -> Chain {
        let order = vec![Provider::AngelOne, Provider::Nse];
        let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
        let options = day.add_chain(class);
        let level = day.add_chain(ChainClass::Underlying);
        day.set_underlying(options, level);
        for number in 0..CONTRACTS {
            let strike = Price::from_e4(strike(number) * RUPEE);
            let option_type = if number % 2 == 0 { OptionType::Call } else { OptionType::Put };
            let bound = PriceBound { option_type, strike, days: 5 };
            day.add_slot(SlotSpec { price_bound: Some(bound), ..spec(number) }, at(9, 0, 0));
        }
        day.add_slot(SlotSpec { is_option: false, chain: level, ..spec(LEVEL) }, at(9, 0, 0));
        Chain { played: Played { day, rows: Rows::default() }, minute: -1 }
    }

    /// Packets of every contract and of the index each minute, and the website's body of the same where it has one.
    fn run(
        &mut self,
        until: i64,
        shown: impl Fn(i64, u32) -> Shown,
        body: Option<&dyn Fn(i64, u32) -> Shown>,
    ) {
        let quote = |stamp: Timestamp, shown: Shown| Quote {
            event_time: stamp,
            last_price: Told::Value(Price::from_e4(shown.price)),
            bid: Told::Value(Price::from_e4(shown.bid)),
            ask: Told::Value(Price::from_e4(shown.ask)),
            volume: Some(shown.volume),
            open_interest: Some(1_000),
            ..Quote::default()
        };
        for minute in self.minute..until {
            let now = hours().open.plus_seconds(minute * 60 + 5);
            let Played { day, rows } = &mut self.played;
            day.advance(now, rows);
            let mut arrival = day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
            for slot in 0..CONTRACTS {
                day.observe(slot, &mut arrival, &quote(now, shown(minute, slot)), rows);
            }
            let last_price = Told::Value(Price::from_e4((25_000 + minute) * RUPEE));
            let level = Quote { event_time: now, last_price, ..Quote::default() };
            day.observe(LEVEL, &mut arrival, &level, rows);
            day.end_arrival(&arrival, rows);
            if let Some(body) = body {
                let received = now.plus_seconds(20);
                day.advance(received, rows);
                let mut arrival = day.chain_arrival(Provider::Nse, 0, now, BODY, received);
                for slot in 0..CONTRACTS {
                    day.observe(slot, &mut arrival, &quote(now, body(minute, slot)), rows);
                }
                day.end_arrival(&arrival, rows);
            }
        }
        self.minute = until;
    }

    fn found(&self) -> Vec<ImpossiblePrice> {
        self.played.day.impossible_prices()
    }

    /// Minutes at which five-minute candles of a contract begin that are marked.
    fn marked(&self, slot: u32) -> Vec<i64> {
        let stored = stored_candles(&self.played, slot).into_iter();
        stored.filter(|(length, _, _, mark)| *length == 5 && *mark).map(|(_, start, ..)| start).collect()
    }
}

#[test]
fn prices_above_what_an_option_is_on_are_found_of_a_chain() {
    let in_paise = |minute: i64, slot: u32| {
        let Shown { price, bid, ask, volume } = lively(minute, slot);
        Shown { price: price * 100, bid: bid * 100, ask: ask * 100, volume }
    };
    let mut chain = Chain::new(ChainClass::NearIndex);
    chain.run(20, lively, None);
    assert_eq!(chain.found(), []);
    chain.run(22, in_paise, None);
    let [found] = chain.found()[..] else { panic!("one chain: {:?}", chain.found()) };
    // At more than 250 rupees they are above 25000.
    assert_eq!((found.of_chain, found.slot, found.provider), (Some((4, 12)), 8, Provider::AngelOne));
    assert!(matches!(found.fault, PriceFault::AboveLevel(_)), "{found:?}");
    assert!(found.price > Price::from_e4(26_000 * RUPEE));
    chain.run(45, lively, None);
    assert_eq!(chain.found(), [], "they are right again");
    assert_eq!(chain.marked(8), [15, 20], "09:30, since it was right at 09:34, and 09:35");
    assert_eq!(chain.marked(9), [15, 20]);
    assert_eq!(chain.marked(0), [15, 20], "no rule finds it alone, but its chain was found");
}

#[test]
fn one_price_alone_is_found_when_it_persists() {
    // The index' level in the place of a call's price is no impossible one by less than the tolerance.
    let wrong = |price: i64| {
        move |minute: i64, slot: u32| match (minute, slot) {
            (10.., 3) => Shown { price: price * RUPEE, ..lively(minute, slot) },
            _ => lively(minute, slot),
        }
    };
    for (price, is_found) in [(25_500, true), (1_200, true), (10, true), (300, false), (130, false)] {
        let mut chain = Chain::new(ChainClass::NearIndex);
        chain.run(13, wrong(price), None);
        assert_eq!(chain.found(), [], "{price}: two looks say nothing");
        chain.run(16, wrong(price), None);
        let found = chain.found();
        assert_eq!(found.len(), usize::from(is_found), "{price}: {found:?}");
        for found in found {
            assert_eq!((found.slot, found.of_chain), (3, None));
            assert!(matches!(found.fault, PriceFault::OutsideBook { .. }), "{found:?}");
        }
        chain.run(40, lively, None);
        assert_eq!(chain.found(), []);
        let marked: &[i64] = if is_found { &[5, 10, 15] } else { &[] };
        assert_eq!(chain.marked(3), marked, "{price}");
    }
}

#[test]
fn a_market_that_moved_away_from_its_last_trade_is_natural() {
    // Bid and ask fall to a tenth, and nothing is traded there but one contract.
    let quiet = |minute: i64, slot: u32| match (minute, slot) {
        (..10, _) | (_, 11) => lively(minute, slot),
        _ => Shown { bid: 2 * RUPEE, ask: 3 * RUPEE, ..lively(9, slot) },
    };
    // Of prices of a few ticks.
    let cheap = |minute: i64, _: u32| Shown { price: 9_000, bid: 500, ask: 1_000, volume: (minute + 1) * 65 };
    // The last trade lies a minute before the fall, now and then.
    let one_falls = |minute: i64, slot: u32| match (minute % 3, slot) {
        (0, 5) => Shown { bid: 2 * RUPEE, ask: 3 * RUPEE, ..lively(minute, slot) },
        _ => lively(minute, slot),
    };
    for natural in [quiet as fn(i64, u32) -> Shown, cheap, one_falls] {
        let mut chain = Chain::new(ChainClass::NearIndex);
        for minute in 1..60 {
            chain.run(minute, natural, None);
            assert_eq!(chain.found(), [], "minute {minute}");
        }
        for slot in 0..CONTRACTS {
            assert_eq!(chain.marked(slot), [0; 0], "{slot}");
        }
    }
}

#[test]
fn two_prices_of_the_same_trades_are_found() {
    let third = |minute: i64, slot: u32| {
        let Shown { price, bid, ask, volume } = lively(minute, slot);
        Shown { price: price / 3, bid: bid / 3, ask: ask / 3, volume }
    };
    let mut chain = Chain::new(ChainClass::NearIndex);
    chain.run(20, lively, Some(&lively));
    assert_eq!(chain.found(), []);
    // Each body is of the minute's own trades; the look comes with the next minute.
    chain.run(26, lively, Some(&third));
    let [found] = chain.found()[..] else { panic!("one chain: {:?}", chain.found()) };
    assert_eq!(found.of_chain, Some((12, 12)));
    assert!(matches!(found.fault, PriceFault::Other(Provider::Nse, _)), "{found:?}");
    // Older copies have other prices, and less volume.
    let mut chain = Chain::new(ChainClass::NearIndex);
    let wild = |minute: i64, slot: u32| {
        let of = lively(minute, slot);
        if minute % 2 == 0 {
            of
        } else {
            Shown { price: of.price / 3, bid: of.bid / 3, ask: of.ask / 3, ..of }
        }
    };
    let before = |minute: i64, slot: u32| wild((minute - 1).max(0), slot);
    chain.run(40, wild, Some(&before));
    assert_eq!(chain.found(), []);
}

#[test]
fn other_chains_are_looked_at_in_turns() {
    let wrong = |minute: i64, slot: u32| Shown { price: 30_000 * RUPEE, ..lively(minute, slot) };
    let mut chain = Chain::new(ChainClass::Share);
    chain.run(11, lively, None);
    let mut minutes = 11;
    while chain.found().is_empty() && minutes < 30 {
        minutes += 1;
        chain.run(minutes, wrong, None);
    }
    assert_eq!(minutes, 16, "each fifth minute");
    assert_eq!(chain.found().len(), 1);
}

/// Contract 4 is traded each fourth minute, at a hundred times its price from minute 12 on.
fn slowly_wrong(minute: i64, slot: u32) -> Shown {
    match (minute, slot) {
        (12.., 4) => {
            let of = lively(minute - minute % 4, slot);
            Shown { price: 12_000 * RUPEE, ..of }
        }
        (_, 4) => lively(minute - minute % 4, slot),
        _ => lively(minute, slot),
    }
}

#[test]
fn a_wrong_price_of_a_slowly_traded_contract_is_found_and_goes_on() {
    let mut chain = Chain::new(ChainClass::NearIndex);
    chain.run(15, slowly_wrong, None);
    assert_eq!(chain.found(), [], "two looks");
    for minute in 16..40 {
        chain.run(minute, slowly_wrong, None);
        let [found] = chain.found()[..] else { panic!("minute {minute}: {:?}", chain.found()) };
        assert_eq!((found.slot, found.of_chain), (4, None));
        assert_eq!(found.since, hours().open.plus_seconds(12 * 60 + 5), "it is one finding");
    }
    // Its book disappears, which says nothing of the price.
    let bookless = |minute, slot| match slot {
        4 => Shown { bid: 0, ..slowly_wrong(minute - minute % 10, slot) },
        _ => lively(minute, slot),
    };
    chain.run(44, bookless, None);
    assert_eq!(chain.found().len(), 1);
    chain.run(50, lively, None);
    assert_eq!(chain.found(), [], "it shows another price");
    chain.run(60, lively, None);
    assert_eq!(chain.marked(4), [10, 15, 20, 25, 30, 35, 40, 45]);
    assert_eq!(chain.marked(5), [0; 0]);
}

#[test]
fn a_finding_of_a_chain_marks_what_was_traded_since_before_it() {
    // Below 250 rupees, prices in paise are no impossible ones; contract 1 is not traded meanwhile.
    let in_paise = |minute: i64, slot: u32| match slot {
        1 => lively(19, slot),
        _ => {
            let Shown { price, bid, ask, volume } = lively(minute, slot);
            Shown { price: price * 100, bid: bid * 100, ask: ask * 100, volume }
        }
    };
    let then_quiet = |minute: i64, slot: u32| match slot {
        11 => in_paise(minute, slot),
        _ => in_paise(minute.min(24), slot),
    };
    let mut chain = Chain::new(ChainClass::NearIndex);
    chain.run(20, lively, None);
    chain.run(25, in_paise, None);
    chain.run(30, then_quiet, None);
    let [found] = chain.found()[..] else { panic!("one chain: {:?}", chain.found()) };
    assert_eq!(found.of_chain, Some((4, 12)), "of all that were judged, also when nothing is traded");
    // One of those that no rule finds alone is not traded for longer.
    let mended = |minute: i64, slot: u32| match slot {
        2 => then_quiet(minute, slot),
        _ => lively(minute, slot),
    };
    chain.run(32, then_quiet, None);
    chain.run(41, mended, None);
    assert_eq!(chain.found(), []);
    chain.run(60, lively, None);
    assert_eq!(
        chain.marked(8),
        [15, 20, 25, 30, 35],
        "09:34 was right, and 09:47, a minute before a bucket's end"
    );
    assert_eq!(chain.marked(6), [15, 20, 25, 30, 35]);
    assert_eq!(chain.marked(2), [15, 20, 25, 30, 35, 40], "it was wrong until 09:56");
    assert_eq!(chain.marked(1), [0; 0], "it was not traded");
}

#[test]
fn a_call_and_a_put_of_a_strike_are_held_against_each_other() {
    // Pairs of strikes from 24950 on, each worth 100 rupees and what it has within.
    let strike = |slot: u32| 24_950 + i64::from(slot / 2) * 60;
    let fair = move |minute: i64, slot: u32| {
        let within = 25_000 + minute - strike(slot);
        let within = if slot.is_multiple_of(2) { within } else { -within };
        let price = (100 + within.max(0)) * RUPEE;
        Shown { price, bid: price - RUPEE, ask: price + RUPEE, volume: (minute + 1) * 65 }
    };
    let in_paise = move |minute: i64, slot: u32| {
        let Shown { price, bid, ask, volume } = fair(minute, slot);
        Shown { price: price * 100, bid: bid * 100, ask: ask * 100, volume }
    };
    let mut chain = Chain::with_strikes(ChainClass::NearIndex, strike);
    for minute in 1..20 {
        chain.run(minute, fair, None);
        assert_eq!(chain.found(), [], "minute {minute}");
    }
    chain.run(22, in_paise, None);
    let [found] = chain.found()[..] else { panic!("one chain: {:?}", chain.found()) };
    let Some((contracts, 12)) = found.of_chain else { panic!("{found:?}") };
    assert!(contracts >= 6, "{found:?}");
    chain.run(45, fair, None);
    assert_eq!(chain.found(), []);
    for slot in 0..CONTRACTS {
        assert_eq!(chain.marked(slot), [15, 20], "{slot}");
    }
    // One of a pair alone: both are named, until they can be right.
    let one = move |minute, slot| if slot == 4 { in_paise(minute, slot) } else { fair(minute, slot) };
    chain.run(49, one, None);
    let found = chain.found();
    let names: Vec<_> = found.iter().map(|found| (found.slot, found.of_chain, found.fault)).collect();
    let [(4, None, PriceFault::Partner { instrument, .. }), (5, None, PriceFault::Partner { .. })] =
        names[..]
    else {
        panic!("{names:?}")
    };
    assert_eq!(instrument, InstrumentId(5));
    chain.run(52, fair, None);
    assert_eq!(chain.found(), []);
    // A put that is not traded shows its last price while the level moves away.
    let stale = move |minute: i64, slot: u32| match slot {
        5 => fair(-6_000, slot),
        _ => fair(minute, slot),
    };
    let mut chain = Chain::with_strikes(ChainClass::NearIndex, strike);
    for minute in 1..30 {
        chain.run(
            minute,
            |minute, slot| Shown { volume: stale(minute, slot).volume.max(65), ..stale(minute, slot) },
            None,
        );
        assert_eq!(chain.found(), [], "minute {minute}");
    }
}
