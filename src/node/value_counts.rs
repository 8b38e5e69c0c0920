//! Values that cannot be right and came and went, in words: counted of a provider over the day, with the last of them. For
//! what [`super::evidence_watch`] says of the running day.

use super::evidence_watch::{clock, name_of};
use crate::{
    engine::{
        ContradictedBar, ContradictedBase, ContradictedVolume, Counted, OiJump, OiJumpFault, PriceOutlier,
    },
    market::{Contract, InstrumentId, Provider},
    pipeline::PipelineCounters,
};

/// What was counted of a provider.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CountedValues {
    pub volumes: Counted<ContradictedVolume>,
    pub jumps: Counted<OiJump>,
    pub outliers: Counted<PriceOutlier>,
    pub bars: Counted<ContradictedBar>,
    pub bases: Counted<ContradictedBase>,
}

/// A text for each kind that there is.
pub(super) fn describe_counted<'a>(
    provider: Provider,
    found: &CountedValues,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let volumes = describe_volumes(provider, &found.volumes, &contract_of);
    let jumps = describe_jumps(provider, &found.jumps, &contract_of);
    let outliers = describe_outliers(provider, &found.outliers, &contract_of);
    let bars = describe_bars(provider, &found.bars, &contract_of);
    let bases = describe_bases(provider, &found.bases, &contract_of);
    [volumes, jumps, outliers, bars, bases].into_iter().flatten().collect()
}

/// What of each provider's data of the day could not be read, with the last of it.
pub(super) fn describe_unread_values(counters: &PipelineCounters) -> Vec<String> {
    let of = |provider: Provider| {
        let count = counters.malformed_today[provider.index()];
        let last = &counters.last_malformed[provider.index()];
        (count > 0).then(|| {
            format!("{count} of {provider}'s values of the day could not be decoded; the last: {last}")
        })
    };
    Provider::ALL.into_iter().filter_map(of).collect()
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times, the last time"),
    }
}

fn describe_volumes<'a>(
    provider: Provider,
    volumes: &Counted<ContradictedVolume>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Option<String> {
    let ContradictedVolume { instrument, volume, later, event_time } = volumes.last?;
    let (times, contract, at) = (times(volumes.count), name_of(instrument, contract_of), clock(event_time));
    Some(format!(
        "{provider} contradicted its own volume of the day {times} for {contract}: {volume}, then {later} at {at}; what was \
         too much is taken out of the candles, which are marked"
    ))
}

fn describe_bases<'a>(
    provider: Provider,
    bases: &Counted<ContradictedBase>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Option<String> {
    let ContradictedBase { instrument, open_interest, later, event_time } = bases.last?;
    let (times, contract, at) = (times(bases.count), name_of(instrument, contract_of), clock(event_time));
    Some(format!(
        "{provider} named another open interest of the session before {times} for {contract}: {open_interest}, then {later} \
         at {at}; the first stays what changes are measured against, and one of the two is wrong"
    ))
}

fn describe_jumps<'a>(
    provider: Provider,
    jumps: &Counted<OiJump>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Option<String> {
    let OiJump { instrument, before, after, event_time, fault } = jumps.last?;
    let (times, contract, at) = (times(jumps.count), name_of(instrument, contract_of), clock(event_time));
    let (against, wrong) = match fault {
        OiJumpFault::Volume(volume) => {
            (format!(" with {volume} traded in the whole day"), "one of the two is wrong".to_owned())
        }
        OiJumpFault::Back(back) => (format!(" and back to {back}"), "one of the two is wrong".to_owned()),
    };
    Some(format!(
        "{provider}'s open interest cannot have changed as it did {times} for {contract}: from {before} to {after} at \
         {at}{against}; {wrong}, and so is a row or change that has it"
    ))
}

fn describe_outliers<'a>(
    provider: Provider,
    outliers: &Counted<PriceOutlier>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Option<String> {
    let PriceOutlier { instrument, price, start, end, close } = outliers.last?;
    let (times, contract) = (times(outliers.count), name_of(instrument, contract_of));
    let (from, until) = (clock(start), clock(end));
    Some(format!(
        "{provider}'s prices were far from those before and after them {times} for {contract}: {price} between {from} \
         and {until}, {close} at the end; the candles that have them are to be resolved"
    ))
}

fn describe_bars<'a>(
    provider: Provider,
    bars: &Counted<ContradictedBar>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Option<String> {
    let ContradictedBar { instrument, start, low, high, seen_low, seen_high } = bars.last?;
    let (times, contract, at) = (times(bars.count), name_of(instrument, contract_of), clock(start));
    Some(format!(
        "{provider}'s own candles contradicted the prices seen {times} for {contract}: {low} to {high} from {at} on, where \
         {seen_low} to {seen_high} was seen; they are not taken, and those of the prices seen are to be resolved"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, Price, Timestamp};

    const AT: Timestamp = Timestamp::from_us(1_769_744_700_000_000);

    fn named(found: CountedValues) -> Vec<String> {
        let index = Contract::index(Exchange::Nse, "NIFTY");
        describe_counted(Provider::AngelOne, &found, |_| Some(&index))
    }

    fn once<T>(found: T) -> Counted<T> {
        Counted { count: 1, last: Some(found) }
    }

    #[test]
    fn what_was_counted_is_named_with_its_provider_and_the_last_of_it() {
        let instrument = InstrumentId(7);
        assert_eq!(named(CountedValues::default()), [""; 0]);
        let volume = ContradictedVolume { instrument, volume: 325_000_000, later: 19_500, event_time: AT };
        let text = |found: CountedValues| named(found).join(", ");
        let volumes = once(volume);
        let told = text(CountedValues { volumes, ..CountedValues::default() });
        assert!(told.starts_with("angel_one contradicted its own volume of the day once for"), "{told}");
        assert!(told.contains("325000000, then 19500 at 09:15:00"), "{told}");
        let volumes = Counted { count: 3, ..volumes };
        let told = text(CountedValues { volumes, ..CountedValues::default() });
        assert!(told.contains("3 times, the last time for"), "{told}");
        let base = ContradictedBase { instrument, open_interest: 65_000, later: 70_200, event_time: AT };
        let told = text(CountedValues { bases: once(base), ..CountedValues::default() });
        assert!(told.contains("another open interest of the session before once for"), "{told}");
        assert!(told.contains("65000, then 70200 at 09:15:00"), "{told}");
        for (fault, wrong) in [
            (OiJumpFault::Volume(9_750), " with 9750 traded in the whole day; one of the two is wrong"),
            (OiJumpFault::Back(65_130), " and back to 65130; one of the two is wrong"),
        ] {
            let jump = OiJump { instrument, before: 65_000, after: 65_000_000, event_time: AT, fault };
            let told = text(CountedValues { jumps: once(jump), ..CountedValues::default() });
            assert!(told.contains(&format!("from 65000 to 65000000 at 09:15:00{wrong}")), "{told}");
        }
        let price = |rupees: i64| Price::from_e4(rupees * 10_000);
        let outlier = PriceOutlier {
            instrument,
            price: price(25_000),
            start: AT,
            end: AT.plus_seconds(300),
            close: price(120),
        };
        let told = text(CountedValues { outliers: once(outlier), ..CountedValues::default() });
        assert!(told.contains("25000.00 between 09:15:00 and 09:20:00, 120.00 at the end"), "{told}");
        let bar = ContradictedBar {
            instrument,
            start: AT,
            low: price(27_799),
            high: price(27_808),
            seen_low: price(26_000),
            seen_high: price(26_008),
        };
        let told = text(CountedValues { bars: once(bar), ..CountedValues::default() });
        assert!(
            told.contains("27799.00 to 27808.00 from 09:15:00 on, where 26000.00 to 26008.00 was seen"),
            "{told}"
        );
    }
}
