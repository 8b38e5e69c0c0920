//! Fields that cannot be right are found of one provider alone, and what is natural is not.

use super::*;

const CONTRACTS: u32 = 40;
const LEVEL: u32 = CONTRACTS;
const OPTIONS: u32 = 0;

/// What a contract shows.
#[derive(Clone, Copy)]
struct Shown {
    open_interest: Option<i64>,
    volume: Option<i64>,
    price: i64,
}

/// A chain of options, with its underlying, of which one provider sends packets.
struct Chain {
    played: Played,
}

impl Chain {
    /// `base` of each contract.
    fn new(base: Option<(i64, OiBase)>) -> Chain {
        Chain::of_class(ChainClass::NearIndex, base)
    }

    fn of_class(class: ChainClass, base: Option<(i64, OiBase)>) -> Chain {
        let order = vec![Provider::AngelOne, Provider::Nse];
        let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
        day.add_chain(class);
        let level = day.add_chain(ChainClass::Underlying);
        for number in 0..CONTRACTS {
            day.add_slot(SlotSpec { base, ..spec(number) }, at(9, 0, 0));
        }
        day.add_slot(SlotSpec { is_option: false, chain: level, ..spec(LEVEL) }, at(9, 0, 0));
        Chain { played: Played { day, rows: Rows::default() } }
    }

    /// Packets of every contract, and of the level where it is told.
    fn send(&mut self, now: Timestamp, shown: impl Fn(i64) -> Shown, level: Option<i64>) {
        let Played { day, rows } = &mut self.played;
        day.advance(now, rows);
        let mut arrival = day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        for slot in 0..CONTRACTS {
            let Shown { open_interest, volume, price } = shown(i64::from(slot));
            let last_price = Told::zero_is_nothing(Price::from_e4(price * 1_000));
            let quote = Quote { event_time: now, last_price, open_interest, volume, ..Quote::default() };
            day.observe(slot, &mut arrival, &quote, rows);
        }
        if let Some(level) = level {
            let last_price = Told::Value(Price::from_e4(level));
            let quote = Quote { event_time: now, last_price, ..Quote::default() };
            day.observe(LEVEL, &mut arrival, &quote, rows);
        }
        day.end_arrival(&arrival, rows);
    }

    /// Each `step_s` from one minute of the session up to another one.
    fn run(&mut self, minutes: std::ops::Range<i64>, step_s: i64, shown: impl Fn(i64, i64) -> Shown) {
        self.run_with_level(minutes, step_s, shown, |minute| Some(minute + 1));
    }

    fn run_with_level(
        &mut self,
        minutes: std::ops::Range<i64>,
        step_s: i64,
        shown: impl Fn(i64, i64) -> Shown,
        level: impl Fn(i64) -> Option<i64>,
    ) {
        for second in (minutes.start * 60..minutes.end * 60).step_by(step_s as usize) {
            let minute = second / 60;
            self.send(open_plus(second + 5), |slot| shown(minute, slot), level(minute));
        }
    }

    fn still(&self, minute: i64) -> Vec<(ChainField, Timestamp)> {
        let found = self.played.day.still_fields(open_plus(minute * 60));
        found.into_iter().map(|still| (still.field, still.since)).collect()
    }

    fn level(&self, minute: i64) -> Option<(i64, Timestamp)> {
        let found = self.played.day.still_level(LEVEL, [OPTIONS], open_plus(minute * 60));
        found.map(|still| (still.price.as_e4(), still.since))
    }

    fn impossible(&self) -> Option<ImpossibleOi> {
        self.played.day.impossible_open_interest().first().copied()
    }
}

/// Of a market that trades every contract each minute.
fn lively(minute: i64, slot: i64) -> Shown {
    Shown {
        open_interest: Some(10_000 + slot * 20 + minute * 5),
        volume: Some(minute * 20),
        price: 500 + minute * 3 + slot,
    }
}

fn in_lots_of(factor: i64, shown: Shown) -> Shown {
    let scaled = |value: Option<i64>| value.map(|value| value * factor);
    Shown { open_interest: scaled(shown.open_interest), volume: scaled(shown.volume), ..shown }
}

const OWN_BASE: Option<(i64, OiBase)> = Some((10_000, OiBase::OwnFinal));

#[test]
fn a_market_that_trades_shows_nothing_implausible() {
    for step_s in [20, 300] {
        let mut chain = Chain::new(OWN_BASE);
        for minute in 0..120 {
            chain.run(minute..minute + 1, step_s, lively);
            assert_eq!(chain.still(minute + 1), []);
            assert_eq!(chain.level(minute + 1), None);
            assert_eq!(chain.impossible(), None);
        }
    }
}

#[test]
fn open_interest_in_another_unit_than_the_session_before_cannot_be() {
    let mut chain = Chain::new(OWN_BASE);
    chain.run(0..3, 20, |minute, slot| in_lots_of(75, lively(minute, slot)));
    let found = chain.impossible().expect("it is found at once");
    assert_eq!((found.contracts, found.judged, found.slot), (CONTRACTS, CONTRACTS, 0));
    assert_eq!((found.open_interest, found.base, found.volume), (750_000, 10_000, 0));
    assert_eq!(found.provider, Provider::AngelOne);
    // What is traded afterwards explains it no better, nor does the open interest's further course.
    let traded = |minute, slot| Shown { volume: Some(minute * 1_000_000), ..lively(minute, slot) };
    chain.run(3..30, 20, |minute, slot| {
        let Shown { open_interest, .. } = in_lots_of(75, lively(minute, slot));
        Shown { open_interest, ..traded(minute, slot) }
    });
    assert_eq!(chain.impossible().map(|found| found.contracts), Some(CONTRACTS));
    chain.run(30..32, 20, traded);
    assert_eq!(chain.impossible(), None, "it is corrected");
}

#[test]
fn open_interest_far_below_the_session_before_cannot_be_either() {
    let mut chain = Chain::new(Some((650_000, OiBase::Official)));
    chain.run(0..3, 20, lively);
    let found = chain.impossible().expect("it shows lots");
    assert_eq!((found.contracts, found.base), (CONTRACTS, 650_000));
    // The base was the wrong one.
    (0..CONTRACTS).for_each(|slot| chain.played.day.contexts[slot as usize].base = None);
    chain.played.day.bases_before.fill(OWN_BASE);
    chain.run(3..5, 20, lively);
    assert_eq!(chain.impossible(), None, "a better base replaces it");
}

#[test]
fn what_can_be_or_is_not_known_is_not_named() {
    let wrong = |minute, slot| in_lots_of(75, lively(minute, slot));
    let named = |base, shown: &dyn Fn(i64, i64) -> Shown| {
        let mut chain = Chain::new(base);
        chain.run(0..3, 20, shown);
        chain.impossible().map(|found| found.contracts)
    };
    assert_eq!(named(None, &wrong), None, "no base");
    let of_provider = named(Some((10_000, OiBase::Provider)), &wrong);
    assert_eq!(of_provider, Some(CONTRACTS), "the base that it names contradicts it");
    assert_eq!(named(OWN_BASE, &|minute, slot| Shown { volume: None, ..wrong(minute, slot) }), None);
    assert_eq!(named(OWN_BASE, &|minute, slot| Shown { open_interest: None, ..wrong(minute, slot) }), None);
    let traded = |minute, slot| Shown { volume: Some(1_000_000), ..wrong(minute, slot) };
    assert_eq!(named(OWN_BASE, &traded), None, "so much was traded");
    let some =
        |count| move |minute, slot| if slot < count { wrong(minute, slot) } else { lively(minute, slot) };
    assert_eq!(named(OWN_BASE, &some(10)), None, "a quarter of the chain");
    assert_eq!(named(OWN_BASE, &some(11)), Some(11));
    let none = |minute, slot| match slot < 3 {
        true => wrong(minute, slot),
        false => Shown { open_interest: Some(0), volume: Some(0), price: 1 },
    };
    assert_eq!(named(Some((0, OiBase::OwnFinal)), &none), Some(3), "no open interest is none in any unit");
}

#[test]
fn open_interest_of_one_contract_alone_is_named_when_it_persists() {
    let base = Some((130_000, OiBase::OwnFinal));
    let usual = |minute: i64, slot: i64| Shown {
        open_interest: Some(130_000 + minute * 65),
        volume: Some((minute + 1) * 130),
        price: 500 + minute + slot,
    };
    let wrong = |open_interest: i64| {
        move |minute, slot| match slot {
            7 => Shown { open_interest: Some(open_interest), ..usual(minute, slot) },
            _ => usual(minute, slot),
        }
    };
    for open_interest in [1_300_000, 65] {
        let mut chain = Chain::new(base);
        chain.run(0..10, 20, usual);
        chain.run(10..12, 20, wrong(open_interest));
        assert_eq!(chain.impossible(), None, "two looks");
        chain.run(12..14, 20, wrong(open_interest));
        let found = chain.impossible().expect("it persists");
        assert_eq!((found.slot, found.contracts, found.judged), (7, 1, CONTRACTS));
        assert_eq!((found.open_interest, found.base), (open_interest, 130_000));
        chain.run(14..16, 20, usual);
        assert_eq!(chain.impossible(), None, "it is corrected");
    }
}

#[test]
fn open_interest_of_the_day_before_is_not_judged_before_the_session() {
    let mut chain = Chain::new(OWN_BASE);
    chain.run(-10..0, 20, |_, slot| in_lots_of(75, lively(0, slot)));
    chain.played.advance(at(9, 16, 0));
    assert_eq!(chain.impossible(), None);
}

/// Open interest as in one minute, all else as in another.
fn stuck(from: i64) -> impl Fn(i64, i64) -> Shown {
    move |minute, slot| Shown {
        open_interest: lively(minute.min(from), slot).open_interest,
        ..lively(minute, slot)
    }
}

#[test]
fn open_interest_that_stands_still_while_volume_is_added_is_found() {
    let mut chain = Chain::new(None);
    chain.run(0..35, 20, stuck(20));
    assert_eq!(chain.still(35), [], "not yet");
    chain.run(35..37, 20, stuck(20));
    let [(field, since)] = chain.still(37)[..] else { panic!("it is found: {:?}", chain.still(37)) };
    assert_eq!(field, ChainField::OpenInterest);
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    chain.run(37..39, 20, lively);
    assert_eq!(chain.still(39), [], "it moves again");
    assert_eq!(chain.played.day.still_fields(hours().close), [], "after the close nothing moves");
}

#[test]
fn a_chain_that_is_not_near_is_looked_at_each_fifth_minute() {
    let far = |base| Chain::of_class(ChainClass::Share, base);
    let mut chain = far(OWN_BASE);
    for minute in 0..120 {
        chain.run(minute..minute + 1, 20, lively);
        assert_eq!((chain.still(minute + 1), chain.level(minute + 1)), (vec![], None));
        assert_eq!(chain.impossible(), None);
    }
    let mut chain = far(OWN_BASE);
    chain.run(0..5, 20, |minute, slot| in_lots_of(75, lively(minute, slot)));
    assert_eq!(chain.impossible(), None, "its turn has not come");
    chain.run(5..6, 20, |minute, slot| in_lots_of(75, lively(minute, slot)));
    assert_eq!(chain.impossible().map(|found| found.contracts), Some(CONTRACTS));
    // A look finds volume in all of its contracts, as much as two minutes must bring.
    let mut chain = far(None);
    chain.run(0..50, 20, stuck(20));
    assert_eq!(chain.still(50), [], "four looks of two minutes");
    chain.run(50..51, 20, stuck(20));
    let [(ChainField::OpenInterest, since)] = chain.still(51)[..] else { panic!("{:?}", chain.still(51)) };
    assert!(open_plus(20 * 60) <= since && since <= open_plus(25 * 60), "the look after the change: {since}");
    let mut chain = far(None);
    // As many as a look finds within one minute speak for one minute only.
    let few = |minute: i64, slot| {
        let frozen = stuck(20)(20, slot);
        if slot < 20 { stuck(20)(minute, slot) } else { frozen }
    };
    chain.run(20..70, 20, few);
    assert_eq!(chain.still(70), [], "nine looks");
    chain.run(70..71, 20, few);
    assert_eq!(chain.still(71).len(), 1);
    let mut chain = far(None);
    chain.run(0..45, 20, without_volume(20, 5));
    assert_eq!(chain.still(45).len(), 1);
    let mut chain = far(None);
    chain.run_with_level(0..36, 20, lively, |minute| Some(26_000 + minute.min(20)));
    assert_eq!(chain.level(36).map(|(price, _)| price), Some(26_020));
}

#[test]
fn what_stood_still_until_the_close_can_be_found_after_it() {
    let close_minute = hours().close.us_since(hours().open) / 60_000_000;
    let mut chain = Chain::new(None);
    chain.run_with_level(0..close_minute + 20, 60, stuck(20), |minute| Some(minute.min(20) + 1));
    let day = &chain.played.day;
    assert_eq!(chain.still(close_minute + 20), []);
    assert_eq!(day.still_fields(hours().close.plus_us(-1)).len(), 1);
    let level = |at| day.still_level(LEVEL, [OPTIONS], at);
    assert!(level(day.last_look_at_levels()).is_some());
    assert_eq!(level(day.last_look_at_levels().plus_us(1)), None);
}

#[test]
fn sparse_values_are_found_by_the_looks_they_came_in() {
    let mut chain = Chain::new(None);
    chain.run(0..70, 300, stuck(20));
    assert_eq!(chain.still(70), [], "fewer than ten looks");
    chain.run(70..85, 300, stuck(20));
    assert_eq!(chain.still(85).len(), 1);
}

#[test]
fn open_interest_of_a_part_of_a_chain_that_stands_still_while_its_volume_is_added_is_found() {
    let half = |contracts: i64| {
        move |minute, slot| if slot < contracts { stuck(20)(minute, slot) } else { lively(minute, slot) }
    };
    let mut chain = Chain::new(None);
    chain.run(0..35, 20, half(20));
    assert_eq!(chain.still(35), [], "not yet");
    chain.run(35..37, 20, half(20));
    let of = |contracts| ChainField::OpenInterestOf { contracts };
    let [(field, since)] = chain.still(37)[..] else { panic!("it is found: {:?}", chain.still(37)) };
    assert_eq!(field, of(20));
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    chain.run(37..39, 20, lively);
    assert_eq!(chain.still(39), [], "it moves again");
    let mut chain = Chain::new(None);
    chain.run(0..100, 20, half(19));
    assert_eq!(chain.still(100), [], "fewer than half of the chain");
    // All but one, which changes now and then.
    let mut chain = Chain::new(None);
    chain.run(0..100, 20, |minute, slot| match slot {
        0 => Shown { open_interest: Some(minute / 14), ..lively(minute, slot) },
        _ => stuck(20)(minute, slot),
    });
    assert_eq!(chain.still(100).first().map(|(field, _)| *field), Some(of(39)));
}

#[test]
fn open_interest_of_one_contract_that_is_traded_for_more_than_twice_as_much_does_not_stand_still() {
    let traded = |lots: i64| {
        move |minute: i64, slot: i64| match slot {
            7 => Shown { volume: Some(minute * lots), ..lively(minute.min(20), slot) },
            _ => lively(minute, slot),
        }
    };
    let open_interest = lively(20, 7).open_interest.expect("some");
    let mut chain = Chain::new(None);
    // Up to twice as much from the look after the change on.
    chain.run(0..60, 20, traded(open_interest * 2 / 40));
    assert_eq!(chain.still(60), [], "it may have been bought and sold again");
    chain.run(60..63, 20, traded(open_interest * 2 / 40));
    let [(field, since)] = chain.still(63)[..] else { panic!("it is found: {:?}", chain.still(63)) };
    assert_eq!(field, ChainField::OpenInterestOf { contracts: 1 });
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    // However much it is, a quarter of an hour must have passed.
    let mut chain = Chain::new(None);
    chain.run(0..35, 20, traded(open_interest));
    assert_eq!(chain.still(35), []);
    chain.run(35..37, 20, traded(open_interest));
    assert_eq!(chain.still(37).len(), 1);
}

#[test]
fn volumes_that_become_many_times_themselves_at_once_are_found() {
    let leaps = |contracts: i64, times: i64, at: i64| {
        move |minute: i64, slot: i64| {
            let shown = lively(minute, slot);
            let is_more = slot < contracts && minute >= at;
            Shown {
                volume: shown.volume.map(|volume| if is_more { volume * times } else { volume }),
                ..shown
            }
        }
    };
    let found = |chain: &Chain| chain.played.day.volume_leaps().next();
    let mut chain = Chain::new(None);
    chain.run(0..60, 20, leaps(40, 75, 40));
    let leap = found(&chain).expect("all of the chain");
    assert_eq!((leap.chain, leap.provider, leap.contracts), (OPTIONS, Provider::AngelOne, CONTRACTS));
    assert!(leap.after > 70 * leap.before, "{leap:?}");
    assert!(open_plus(40 * 60) <= leap.at && leap.at <= open_plus(41 * 60), "{leap:?}");
    for (contracts, times, at) in [(20, 75, 40), (40, 7, 40), (40, 75, 5)] {
        let mut chain = Chain::new(None);
        chain.run(0..60, 20, leaps(contracts, times, at));
        assert_eq!(found(&chain), None, "{contracts} contracts, {times} times, at {at}");
    }
    let mut chain = Chain::new(None);
    chain.run(0..60, 20, leaps(40, 75, 12));
    assert!(found(&chain).is_some(), "all of them at once are no beginning");
    // Volumes of an hour that was not seen.
    let mut chain = Chain::new(None);
    chain.run(0..20, 20, lively);
    chain.run(80..90, 20, |minute, slot| leaps(40, 20, 80)(minute, slot));
    assert_eq!(found(&chain), None);
}

/// Those that have stopped: how many, in which minute of the session, and whether together.
fn stopped(chain: &Chain, minute: i64) -> Option<(u32, i64, bool)> {
    let found = chain.played.day.stopped_contracts(open_plus(minute * 60)).next()?;
    Some((found.contracts, found.since.us_since(hours().open) / 60_000_000, found.is_together))
}

/// The first of them stop, one after the other from a minute on.
fn some_of(contracts: i64, from: i64) -> impl Fn(i64, i64) -> Shown + Copy {
    move |minute, slot| {
        if slot < contracts { lively(minute.min(from + slot), slot) } else { lively(minute, slot) }
    }
}

#[test]
fn lively_contracts_that_stop_while_the_others_go_on_are_found() {
    let mut chain = Chain::new(None);
    chain.run(0..75, 20, some_of(12, 50));
    assert_eq!(stopped(&chain, 75), None, "not yet");
    chain.run(75..78, 20, some_of(12, 50));
    assert_eq!(stopped(&chain, 78), Some((12, 62, false)), "the look after their last volume");
    assert_eq!(chain.still(78), [], "no field of theirs contradicts another one");
    chain.run(78..80, 20, lively);
    assert_eq!(stopped(&chain, 80), None, "they are traded again");
    for (contracts, why) in [(10, "a quarter may be out of favour"), (36, "the chain is quiet as a whole")] {
        let mut chain = Chain::new(None);
        chain.run(0..110, 20, some_of(contracts, 50));
        assert_eq!(stopped(&chain, 110), None, "{why}");
    }
    // Of contracts that are traded now and then, a pause says nothing.
    let seldom =
        |minute: i64, slot: i64| if slot < 20 { lively(minute / 3 * 3, slot) } else { lively(minute, slot) };
    let mut chain = Chain::new(None);
    chain.run(0..50, 20, seldom);
    chain.run(50..80, 20, |minute, slot| if slot < 20 { lively(48, slot) } else { lively(minute, slot) });
    assert_eq!(stopped(&chain, 80), None);
}

#[test]
fn contracts_that_stop_in_one_minute_are_found_early_and_of_a_smaller_part() {
    let at_once = |contracts: i64, from: i64| {
        move |minute: i64, slot| {
            if slot < contracts { lively(minute.min(from), slot) } else { lively(minute, slot) }
        }
    };
    let mut chain = Chain::new(None);
    chain.run(0..26, 20, at_once(20, 12));
    assert_eq!(stopped(&chain, 26), None, "not yet");
    chain.run(26..30, 20, at_once(20, 12));
    assert_eq!(stopped(&chain, 30), Some((20, 13, true)));
    for (contracts, found) in [(8, Some((8, 31, true))), (7, None), (36, None)] {
        let mut chain = Chain::new(None);
        chain.run(0..60, 20, at_once(contracts, 30));
        assert_eq!(stopped(&chain, 60), found, "{contracts} of 40");
    }
    let mut chain = Chain::new(None);
    chain.run(0..60, 20, some_of(20, 12));
    assert_eq!(stopped(&chain, 60), None, "one after the other, and not lively for long before");
    // At looks five minutes apart, contracts that are traded now and then stop together by chance.
    let mut chain = Chain::of_class(ChainClass::FarIndex, None);
    chain.run(0..110, 20, at_once(20, 62));
    assert_eq!(stopped(&chain, 110), None, "not yet");
    chain.run(110..120, 20, at_once(20, 62));
    assert_eq!(
        stopped(&chain, 120).map(|(contracts, _, is_together)| (contracts, is_together)),
        Some((20, true))
    );
}

#[test]
fn prices_that_stand_still_while_volume_is_added_are_found() {
    let unpriced =
        |minute: i64, slot| Shown { price: lively(minute.min(20), slot).price, ..lively(minute, slot) };
    let mut chain = Chain::new(None);
    chain.run(0..35, 20, unpriced);
    assert_eq!(chain.still(35), [], "not yet");
    chain.run(35..37, 20, unpriced);
    let [(field, since)] = chain.still(37)[..] else { panic!("it is found: {:?}", chain.still(37)) };
    assert_eq!(field, ChainField::Price);
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    chain.run(37..39, 20, lively);
    assert_eq!(chain.still(39), [], "they move again");
}

#[test]
fn prices_of_a_part_of_a_chain_that_stand_still_or_are_none_while_volume_is_added_are_found() {
    for (kept, field) in
        [(true, ChainField::PriceOf { contracts: 24 }), (false, ChainField::NoPrice { contracts: 24 })]
    {
        let of_part = |minute: i64, slot: i64| {
            let price = if kept { lively(minute.min(20), slot).price } else { 0 };
            if slot < 24 && minute >= 20 {
                Shown { price, ..lively(minute, slot) }
            } else {
                lively(minute, slot)
            }
        };
        let mut chain = Chain::new(None);
        chain.run(0..35, 20, of_part);
        assert_eq!(chain.still(35), [], "not yet");
        chain.run(35..37, 20, of_part);
        assert_eq!(chain.still(37).into_iter().map(|(field, _)| field).collect::<Vec<_>>(), [field]);
        chain.run(37..39, 20, lively);
        assert_eq!(chain.still(39), [], "they move again");
    }
    // Cheap options are traded at one price.
    let mut chain = Chain::new(None);
    chain.run(0..60, 20, |minute, slot| Shown {
        price: if slot < 24 { 2 } else { 500 + minute },
        ..lively(minute, slot)
    });
    assert_eq!(chain.still(60), []);
}

#[test]
fn a_quiet_chain_may_stand_still() {
    // A handful of contracts are traded without a change of open interest.
    let few = |minute, slot| {
        let frozen = lively(20, slot);
        if slot < 19 { Shown { open_interest: frozen.open_interest, ..lively(minute, slot) } } else { frozen }
    };
    let mut chain = Chain::new(None);
    chain.run(20..100, 20, few);
    assert_eq!(chain.still(100), [], "fewer than half of the chain");
    // Each changes now and then, but no two at a time.
    let mut chain = Chain::new(None);
    let seldom = |minute: i64, slot: i64| Shown {
        open_interest: Some(1_000 + (minute + slot) / 14),
        ..lively(minute, slot)
    };
    for minute in 20..100 {
        chain.run(minute..minute + 1, 20, seldom);
        assert_eq!(chain.still(minute + 1), []);
    }
    let mut chain = Chain::new(None);
    chain.run(20..100, 20, |_, slot| lively(20, slot));
    assert_eq!(chain.still(100), [], "nothing moves at all, which is not this part's");
}

/// Volume as in one minute, all else as in another.
fn without_volume(from: i64, contracts: i64) -> impl Fn(i64, i64) -> Shown {
    move |minute, slot| {
        let until = if slot < contracts { minute } else { minute.min(from) };
        Shown { volume: lively(minute.min(from), slot).volume, ..lively(until, slot) }
    }
}

#[test]
fn volume_that_stands_still_while_open_interest_changes_is_found() {
    let mut chain = Chain::new(None);
    chain.run(0..35, 20, without_volume(20, 5));
    assert_eq!(chain.still(35), [], "not yet");
    chain.run(35..37, 20, without_volume(20, 5));
    let [(field, since)] = chain.still(37)[..] else { panic!("it is found: {:?}", chain.still(37)) };
    assert_eq!(field, ChainField::VolumeOf { contracts: 5 });
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    chain.run(37..39, 20, lively);
    assert_eq!(chain.still(39), [], "it moves again");
    // Far strikes bring volume meanwhile, one a minute.
    let far = |minute: i64, slot: i64| lively(if minute < 20 + slot { 0 } else { 20 + slot }, slot);
    let mut chain = Chain::new(None);
    chain.run(0..40, 20, |minute, slot| match slot {
        ..8 => without_volume(20, 8)(minute, slot),
        _ => far(minute, slot),
    });
    let found = chain.still(40).into_iter().map(|(field, _)| field);
    assert_eq!(found.collect::<Vec<_>>(), [ChainField::VolumeOf { contracts: 8 }]);
    let mut chain = Chain::new(None);
    chain.run(0..60, 20, without_volume(20, 4));
    assert_eq!(chain.still(60), [], "too few contracts, however often they change");
    let mut chain = Chain::new(None);
    chain.run(0..40, 20, |minute, slot| Shown { volume: None, ..lively(minute, slot) });
    assert_eq!(chain.still(40), [], "volume that was never told is unknown");
}

#[test]
fn open_interest_that_follows_the_last_volume_is_natural() {
    let mut chain = Chain::new(None);
    // Steps of three minutes after the last volume.
    let late = |minute: i64, slot| Shown {
        open_interest: lively(minute.min(23), slot).open_interest,
        ..lively(minute.min(20), slot)
    };
    for minute in 0..60 {
        chain.run(minute..minute + 1, 20, late);
        assert_eq!(chain.still(minute + 1), []);
    }
}

#[test]
fn a_level_that_stands_still_while_options_move_is_found() {
    let stands = |from: i64| move |minute: i64| Some(26_000 + minute.min(from));
    let mut chain = Chain::new(None);
    chain.run_with_level(0..30, 20, lively, stands(20));
    assert_eq!(chain.level(30), None, "not yet");
    chain.run_with_level(30..32, 20, lively, stands(20));
    let (price, since) = chain.level(32).expect("it is found");
    assert_eq!(price, 26_020);
    assert!(open_plus(20 * 60) <= since && since <= open_plus(21 * 60), "{since}");
    assert_eq!(chain.played.day.still_level(LEVEL, [], open_plus(32 * 60)), None, "of no options");
    // The closing auction of the shares.
    let ending = (hours().close.us_since(hours().open) - 1_800 * SECOND_US) / (60 * SECOND_US);
    assert!(chain.level(ending - 1).is_some());
    assert_eq!(chain.level(ending), None);
    chain.run_with_level(32..34, 20, lively, |_| Some(5));
    assert_eq!(chain.level(34), None, "it moves again");
}

#[test]
fn a_level_may_stand_still_with_its_options() {
    let mut chain = Chain::new(None);
    let halted = |minute: i64, slot| lively(minute.min(20), slot);
    chain.run_with_level(0..60, 20, halted, |minute| Some(26_000 + minute.min(20)));
    assert_eq!(chain.level(60), None, "a halt");
    let mut chain = Chain::new(None);
    chain.run_with_level(0..60, 20, lively, |_| None);
    assert_eq!(chain.level(60), None, "it was never told");
    let mut chain = Chain::new(None);
    chain.run_with_level(0..20, 20, lively, |minute| Some(minute.min(1)));
    chain.run_with_level(20..200, 20, |_, slot| lively(20, slot), |_| Some(1));
    assert_eq!(chain.level(200).map(|(price, _)| price), None, "the options moved long ago");
    // Of a market that is closed nothing moves from the open on.
    let mut chain = Chain::new(None);
    chain.run_with_level(0..30, 20, |_, slot| lively(0, slot), |_| Some(1));
    assert_eq!(chain.level(30).map(|(price, _)| price), Some(1));
}
