//! Values that cannot be right, in words: open interest, volume, levels and prices, for what [`super::evidence_watch`]
//! says of the running day.

use super::{
    day_news::{DayNews, Finding},
    evidence_watch::{clock, name_first, name_of},
};
use crate::{
    engine::{
        ChainField, ContractVolumes, ImpossibleOi, ImpossiblePrice, LevelDispute, OiDispute, PriceFault,
        StillField, StillLevel, StoppedContracts, VolumeContradiction, VolumeLeap,
    },
    market::{Contract, InstrumentId, TradingDate},
    pipeline::{ChangedLots, ContestedLots, UnevenLots},
};
use std::collections::BTreeSet;

/// In words, those levels and prices that the log has not been told of.
pub(super) fn describe_begun<'a>(
    news: &mut DayNews,
    mut levels: Vec<(String, LevelDispute)>,
    mut prices: Vec<(String, InstrumentId, ImpossiblePrice)>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let of_level = |(_, found): &(String, LevelDispute)| Finding::Level(found.slot, found.since);
    let of_price = |(_, _, found): &(String, InstrumentId, ImpossiblePrice)| match found.of_chain {
        Some(_) => Finding::Prices(found.chain, found.since),
        None => Finding::Price(found.slot, found.since),
    };
    let begun = news.begun(levels.iter().map(of_level).chain(prices.iter().map(of_price)).collect());
    levels.retain(|found| begun.contains(&of_level(found)));
    prices.retain(|found| begun.contains(&of_price(found)));
    let mut texts = describe_levels(&levels);
    texts.extend(describe_prices(&prices, contract_of));
    texts
}

/// With what is stated of one contract.
pub(super) fn describe_lots<'a>(
    found: &ContestedLots,
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> String {
    let ContestedLots { contracts, instrument, sizes } = found;
    let contract = name_of(*instrument, &contract);
    let sizes: Vec<String> =
        sizes.iter().map(|(provider, lot_size)| format!("{lot_size} of {provider}")).collect();
    let sizes = sizes.join(", ");
    format!(
        "lot sizes of {contracts} contracts are contradicted, of {contract} {sizes}: what is told of them in lots is not \
         recorded; compare the instrument master with fo_mktlots.csv"
    )
}

/// Of the first chains.
pub(super) fn describe_without_lots(chains: &BTreeSet<(String, TradingDate)>) -> Vec<String> {
    let chains: Vec<_> = chains.iter().collect();
    let name = |(underlying, expiry): &&(String, TradingDate)| {
        format!(
            "no lot size is known for {underlying} {expiry}: what NSE tells of it is not recorded; fo_mktlots.csv cannot be had or \
             lacks that month"
        )
    };
    name_first(&chains, name, |more| format!("no lot size is known for {more} more chains"))
}

/// Of the first contract; how many there are may change with each body.
pub(super) fn describe_changed_lots<'a>(
    found: &ChangedLots,
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> String {
    let ChangedLots { instrument, sizes: [before, now] } = found;
    let contract = name_of(*instrument, &contract);
    format!(
        "lot sizes are other ones than the session before, of {contract} {now} after {before}: what is told in lots is right \
         only if the exchange has changed them"
    )
}

/// Of the first chains, with what is shown of one contract.
pub(super) fn describe_uneven<'a>(
    chains: &[(String, UnevenLots)],
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let name = |(chain, found): &(String, UnevenLots)| {
        let UnevenLots { contracts, judged, instrument, open_interest, lot_size } = found;
        let contract = name_of(*instrument, &contract);
        format!(
            "open interest of {contracts} of {judged} contracts of chain {chain} is in no whole lots: {contract} shows \
             {open_interest} with a lot size of {lot_size}; check units and lot sizes"
        )
    };
    name_first(chains, name, |more| format!("open interest of {more} more chains is in no whole lots"))
}

/// Of the first chains, with what is shown of one contract.
pub(super) fn describe_disputes<'a>(
    disputes: &[(String, InstrumentId, OiDispute)],
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let name = |(chain, instrument, dispute): &(String, InstrumentId, OiDispute)| {
        let OiDispute { contracts, disbelieved, shown, since, .. } = dispute;
        let contract = name_of(*instrument, &contract);
        let [first, second] = shown.map(|(provider, value)| {
            let value = value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            format!("{provider} shows {value}")
        });
        let verdict = match disbelieved {
            Some(provider) => format!("{provider} is not believed"),
            None => "nothing decides which is right, so the rows are missing".to_owned(),
        };
        let since = clock(*since);
        format!(
            "chain {chain}: the open interest of {contracts} contracts is contradicted since {since}; of {contract} {first}, \
             {second}; {verdict}"
        )
    };
    name_first(disputes, name, |more| format!("open interest of {more} more chains is contradicted"))
}

/// Of the first underlyings, with what either provider shows.
pub(super) fn describe_levels(disputes: &[(String, LevelDispute)]) -> Vec<String> {
    let name = |(title, dispute): &(String, LevelDispute)| {
        let LevelDispute { disbelieved, shown, since, .. } = dispute;
        let [first, second] = shown.map(|(provider, level)| {
            let level = level.map_or_else(|| "none".to_owned(), |level| level.to_string());
            format!("{provider} shows {level}")
        });
        let verdict = match disbelieved {
            Some(provider) => format!("{provider} is not believed, whose level stood still"),
            None => "nothing decides which is right, so its rows are missing and its candles to be resolved"
                .to_owned(),
        };
        let since = clock(*since);
        format!("the level of {title} is contradicted since {since}: {first}, {second}; {verdict}")
    };
    name_first(disputes, name, |more| format!("the levels of {more} more underlyings are contradicted"))
}

/// Of the first chains and contracts, with both values.
pub(super) fn describe_prices<'a>(
    found: &[(String, InstrumentId, ImpossiblePrice)],
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let name = |(chain, instrument, found): &(String, InstrumentId, ImpossiblePrice)| {
        let ImpossiblePrice { provider, price, fault, since, of_chain, .. } = found;
        let (contract, since) = (name_of(*instrument, &contract_of), clock(*since));
        let against = match fault {
            PriceFault::AboveLevel(level) => format!("above its underlying's {level}"),
            PriceFault::AboveStrike(strike) => format!("above its strike {strike}"),
            PriceFault::OutsideBook { bid, ask } => format!("with a bid of {bid} and an ask of {ask}"),
            PriceFault::CrossedBook { bid, ask } => format!("with a bid of {bid} above its ask of {ask}"),
            PriceFault::Partner { instrument, price, level } => {
                let partner = name_of(*instrument, &contract_of);
                format!("with {partner} at {price} and their underlying at {level}")
            }
            PriceFault::Other(other, price) => {
                format!("where {other} shows {price} with the same volume")
            }
        };
        let whose = match of_chain {
            Some((contracts, judged)) => {
                format!(
                    "prices of {contracts} of {judged} contracts of chain {chain} cannot be: {contract} is"
                )
            }
            None => format!("a price cannot be: {contract} is"),
        };
        format!(
            "{whose} at {price} {against}, after {since}; its candles are to be resolved; check units; it is recorded from \
             {provider}"
        )
    };
    name_first(found, name, |more| format!("prices of {more} more chains or contracts cannot be"))
}

/// Of the first chains.
pub(super) fn describe_volumes(chains: &[(String, VolumeContradiction)]) -> Vec<String> {
    let name = |(chain, found): &(String, VolumeContradiction)| {
        let [(recorded, ours), (other, theirs)] = found.sums;
        let since = clock(found.since);
        format!(
            "volume of chain {chain} is contradicted since {since}: {recorded} shows {ours} in sum, {other} {theirs}; the \
             larger one is recorded; check units, and choose by bhavctl failover"
        )
    };
    name_first(chains, name, |more| format!("volume of {more} more chains is contradicted"))
}

/// Of the first contracts.
pub(super) fn describe_contract_volumes<'a>(
    contracts: &[(String, InstrumentId, ContractVolumes)],
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let name = |(_, instrument, found): &(String, InstrumentId, ContractVolumes)| {
        let [(with_more, more, at), (with_less, less, later)] = found.shown;
        let (contract, since) = (name_of(*instrument, &contract), clock(found.since));
        format!(
            "volume of {contract} is contradicted since {since}: {with_more} shows {more} at {}, {with_less} {less} at {}; the \
             larger one is recorded; choose by bhavctl failover",
            clock(at),
            clock(later)
        )
    };
    name_first(contracts, name, |more| format!("volume of {more} more contracts is contradicted"))
}

/// Of the first chains.
pub(super) fn describe_leaps(chains: &[(String, VolumeLeap)]) -> Vec<String> {
    let name = |(chain, found): &(String, VolumeLeap)| {
        let VolumeLeap { provider, contracts, before, after, at, .. } = found;
        let at = clock(*at);
        format!(
            "volume of {contracts} contracts of chain {chain} cannot be: it went from {before} to {after} in sum at {at}, by \
             {provider}; check units and lot sizes"
        )
    };
    name_first(chains, name, |more| format!("volume of {more} more chains cannot be"))
}

/// Of the first chains, with what is shown of one contract.
pub(super) fn describe_impossible<'a>(
    chains: &[(String, InstrumentId, ImpossibleOi)],
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let name = |(chain, instrument, found): &(String, InstrumentId, ImpossibleOi)| {
        let ImpossibleOi { provider, contracts, judged, open_interest, base, volume, at, .. } = found;
        let (contract, at) = (name_of(*instrument, &contract), clock(*at));
        format!(
            "open interest of {contracts} of {judged} contracts of chain {chain} cannot be: {contract} shows {open_interest} \
             after {base} the session before, with {volume} traded until {at}; check units and lot sizes; the chain is \
             recorded from {provider}"
        )
    };
    name_first(chains, name, |more| format!("open interest of {more} more chains cannot be"))
}

/// Of the first chains of each field.
pub(super) fn describe_still(chains: &[(String, StillField)]) -> Vec<String> {
    let field_of = |(_, found): &&(String, StillField)| match found.field {
        ChainField::OpenInterest | ChainField::OpenInterestOf { .. } => "open interest",
        ChainField::Price | ChainField::PriceOf { .. } | ChainField::NoPrice { .. } => "the last price",
        ChainField::VolumeOf { .. } => "volume",
    };
    let mut lacks = Vec::new();
    for field in ["open interest", "the last price", "volume"] {
        let chains: Vec<_> = chains.iter().filter(|chain| field_of(chain) == field).collect();
        let name = |(chain, found): &&(String, StillField)| {
            let StillField { provider, field: still, since, .. } = found;
            let since = clock(*since);
            let (part, although) = match still {
                ChainField::OpenInterest => {
                    (String::new(), "volume has, so its rows repeat an old value".to_owned())
                }
                ChainField::OpenInterestOf { contracts } => (
                    format!("{contracts} contracts of "),
                    "their volume has, so their rows repeat old values".to_owned(),
                ),
                ChainField::Price => {
                    (String::new(), "volume has, so its rows and candles repeat old prices".to_owned())
                }
                ChainField::PriceOf { contracts } => (
                    format!("{contracts} contracts of "),
                    "their volume has, so their rows and candles repeat old prices".to_owned(),
                ),
                ChainField::NoPrice { contracts } => {
                    return format!(
                        "{contracts} contracts of chain {chain} are traded and show no last price since {since}, so their \
                         rows and candles lack it; it is recorded from {provider}"
                    );
                }
                ChainField::VolumeOf { contracts } => (
                    format!("{contracts} contracts of "),
                    "their open interest has, so their candles lack what was traded".to_owned(),
                ),
            };
            format!(
                "{field} of {part}chain {chain} has not changed since {since} although {although}; it is recorded from \
                 {provider}"
            )
        };
        lacks.extend(name_first(&chains, name, |more| {
            format!("{field} of {more} more chains does not change")
        }));
    }
    lacks
}

/// Of the first chains.
pub(super) fn describe_stopped(chains: &[(String, StoppedContracts)]) -> Vec<String> {
    let name = |(chain, found): &(String, StoppedContracts)| {
        let StoppedContracts { provider, contracts, since, is_together, .. } = found;
        let since = clock(*since);
        let cause = match is_together {
            true => "they stopped together, so an old copy of them is shown and their rows repeat it",
            false => "they are not traded any more, or an old copy of them is shown",
        };
        format!(
            "{contracts} contracts of chain {chain} that were traded at each look stand still since {since} while the others go \
             on, by {provider}: {cause}"
        )
    };
    name_first(chains, name, |more| format!("contracts of {more} more chains stand still"))
}

/// Of one index.
pub(super) fn describe_level((index, found): &(String, StillLevel)) -> String {
    let StillLevel { provider, price, since, .. } = found;
    let since = clock(*since);
    format!(
        "the level of {index} stands at {price} since {since} although its options are traded, or stand still for too long; it is recorded from {provider}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, Price, Provider, Timestamp};

    #[test]
    fn a_dispute_of_open_interest_is_named_with_both_values() {
        let dispute = OiDispute {
            chain: 0,
            contracts: 80,
            disbelieved: Some(Provider::AngelOne),
            slot: 7,
            shown: [(Provider::AngelOne, Some(1_000)), (Provider::Nse, Some(65_018))],
            since: Timestamp::from_us(1_769_744_700_000_000),
        };
        let undecided = OiDispute { disbelieved: None, ..dispute };
        let index = Contract::index(Exchange::Nse, "NIFTY");
        let disputes =
            [dispute, undecided, dispute, dispute].map(|of| ("NIFTY W".to_owned(), InstrumentId(7), of));
        let lacks = describe_disputes(&disputes, |_| Some(&index));
        let text = format!(
            "chain NIFTY W: the open interest of 80 contracts is contradicted since 09:15:00; of {index} angel_one shows 1000, \
             nse shows 65018; angel_one is not believed"
        );
        assert_eq!(lacks[0], text);
        assert!(
            lacks[1].ends_with("nothing decides which is right, so the rows are missing"),
            "{}",
            lacks[1]
        );
        assert_eq!(lacks[3], "open interest of 1 more chains is contradicted");
    }

    #[test]
    fn a_dispute_of_levels_is_named_with_both() {
        let level = |rupees: i64| Some(Price::from_e4(rupees * 10_000));
        let undecided = LevelDispute {
            slot: 7,
            disbelieved: None,
            shown: [(Provider::AngelOne, level(2_500_000)), (Provider::Nse, level(25_000))],
            since: Timestamp::from_us(1_769_744_700_000_000),
        };
        let decided = LevelDispute { disbelieved: Some(Provider::Nse), ..undecided };
        let found = [undecided, decided].map(|of| ("the index NIFTY".to_owned(), of));
        assert_eq!(
            describe_levels(&found),
            [
                "the level of the index NIFTY is contradicted since 09:15:00: angel_one shows 2500000.00, nse shows \
                 25000.00; nothing decides which is right, so its rows are missing and its candles to be resolved",
                "the level of the index NIFTY is contradicted since 09:15:00: angel_one shows 2500000.00, nse shows \
                 25000.00; nse is not believed, whose level stood still",
            ]
        );
    }

    #[test]
    fn prices_that_cannot_be_are_named_with_what_speaks_against_them() {
        let rupees = |rupees: i64| Price::from_e4(rupees * 10_000);
        let found = |fault, of_chain| ImpossiblePrice {
            chain: 0,
            slot: 7,
            provider: Provider::AngelOne,
            price: rupees(30_000),
            fault,
            since: Timestamp::from_us(1_769_744_700_000_000),
            of_chain,
        };
        let book = PriceFault::OutsideBook { bid: rupees(299), ask: rupees(301) };
        let all = [
            found(PriceFault::AboveLevel(rupees(25_000)), Some((12, 20))),
            found(book, None),
            found(PriceFault::Other(Provider::Nse, rupees(300)), None),
            found(PriceFault::AboveStrike(rupees(25_100)), None),
        ];
        let index = Contract::index(Exchange::Nse, "NIFTY");
        let named = all.map(|found| ("NIFTY W".to_owned(), InstrumentId(7), found));
        let lacks = describe_prices(&named, |_| Some(&index));
        let text = format!(
            "prices of 12 of 20 contracts of chain NIFTY W cannot be: {index} is at 30000.00 above its underlying's 25000.00, \
             after 09:15:00; its candles are to be resolved; check units; it is recorded from angel_one"
        );
        assert_eq!(lacks[0], text);
        let start =
            format!("a price cannot be: {index} is at 30000.00 with a bid of 299.00 and an ask of 301.00, ");
        assert!(lacks[1].starts_with(&start), "{}", lacks[1]);
        assert!(lacks[2].contains(" where nse shows 300.00 with the same volume, "), "{}", lacks[2]);
        assert_eq!(lacks[3], "prices of 1 more chains or contracts cannot be");
        let (price, level) = (rupees(150), rupees(25_000));
        let partner = found(PriceFault::Partner { instrument: InstrumentId(8), price, level }, None);
        let lacks = describe_prices(&[("NIFTY W".to_owned(), InstrumentId(7), partner)], |_| None);
        let start = "a price cannot be: instrument 7 is at 30000.00 with instrument 8 at 150.00 and their underlying at \
                     25000.00, after 09:15:00; ";
        assert!(lacks[0].starts_with(start), "{}", lacks[0]);
    }

    #[test]
    fn an_ongoing_finding_is_news_once_whatever_it_shows() {
        let mut news = DayNews::default();
        let mut told = |slot: u32, rupees: i64, of_chain| {
            let found = ImpossiblePrice {
                chain: 0,
                slot,
                provider: Provider::AngelOne,
                price: Price::from_e4(rupees * 10_000),
                fault: PriceFault::AboveStrike(Price::from_e4(10_000)),
                since: Timestamp::from_us(1_769_744_700_000_000),
                of_chain,
            };
            let prices = vec![("NIFTY W".to_owned(), InstrumentId(slot), found)];
            describe_begun(&mut news, Vec::new(), prices, |_| None).len()
        };
        assert_eq!(told(7, 30_000, None), 1);
        assert_eq!(told(7, 30_001, None), 0);
        assert_eq!(told(8, 30_001, None), 1, "another contract");
        assert_eq!(told(8, 30_001, Some((3, 10))), 1, "it is its chain's now");
        assert_eq!(told(7, 30_002, Some((4, 10))), 0);
    }

    #[test]
    fn open_interest_that_cannot_be_is_named_with_a_contract() {
        let found = ImpossibleOi {
            chain: 0,
            provider: Provider::Nse,
            contracts: 80,
            judged: 82,
            slot: 7,
            open_interest: 4_875_000,
            base: 65_000,
            volume: 9_750,
            at: Timestamp::from_us(1_769_744_700_000_000),
        };
        let index = Contract::index(Exchange::Nse, "NIFTY");
        let chains = [found; 4].map(|found| ("NIFTY W".to_owned(), InstrumentId(7), found));
        let lacks = describe_impossible(&chains, |_| Some(&index));
        let text = format!(
            "open interest of 80 of 82 contracts of chain NIFTY W cannot be: {index} shows 4875000 after 65000 the session \
             before, with 9750 traded until 09:15:00; check units and lot sizes; the chain is recorded from nse"
        );
        assert_eq!(lacks[0], text);
        assert_eq!(lacks[3], "open interest of 1 more chains cannot be");
    }

    #[test]
    fn a_field_that_stands_still_is_named_with_what_moves() {
        let since = Timestamp::from_us(1_769_744_700_000_000);
        let still = |field| {
            ("NIFTY W".to_owned(), StillField { chain: 0, provider: Provider::AngelOne, field, since })
        };
        let chains = [still(ChainField::VolumeOf { contracts: 7 }), still(ChainField::OpenInterest)];
        let lacks = describe_still(&chains);
        let texts = [
            "open interest of chain NIFTY W has not changed since 09:15:00 although volume has, so its rows repeat an old \
             value; it is recorded from angel_one",
            "volume of 7 contracts of chain NIFTY W has not changed since 09:15:00 although their open interest has, so their \
             candles lack what was traded; it is recorded from angel_one",
        ];
        assert_eq!(lacks, texts);
        let many = [0; 5].map(|_| still(ChainField::OpenInterest));
        assert_eq!(describe_still(&many)[3], "open interest of 2 more chains does not change");
        let price = crate::market::Price::from_e4(260_450_000);
        let level = StillLevel { slot: 3, provider: Provider::Nse, price, since };
        assert_eq!(
            describe_level(&("NIFTY".to_owned(), level)),
            "the level of NIFTY stands at 26045.00 since 09:15:00 although its options are traded, or stand still for too long; it is recorded from nse"
        );
    }
}
