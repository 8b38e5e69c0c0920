//! Values that cannot be right and came and went, in words: counted of a provider over the day, with the last of them. For
//! what [`super::evidence_watch`] says of the running day.

use super::evidence_watch::{clock, name_of};
use crate::{
    engine::{ContradictedVolume, Counted, OiJump, OiJumpFault, PriceOutlier},
    market::{Contract, InstrumentId, Provider},
};

/// All that was counted of a provider.
pub(super) fn describe_counted<'a>(
    provider: Provider,
    volumes: &Counted<ContradictedVolume>,
    jumps: &Counted<OiJump>,
    outliers: &Counted<PriceOutlier>,
    contract_of: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> Vec<String> {
    let volumes = describe_volumes(provider, volumes, &contract_of);
    let jumps = describe_jumps(provider, jumps, &contract_of);
    let outliers = describe_outliers(provider, outliers, &contract_of);
    [volumes, jumps, outliers].into_iter().flatten().collect()
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
        OiJumpFault::Back(back) => (format!(" and back to {back}"), format!("{after} is wrong")),
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
    let PriceOutlier { instrument, price, start, close } = outliers.last?;
    let (times, contract, at) = (times(outliers.count), name_of(instrument, contract_of), clock(start));
    Some(format!(
        "{provider}'s prices were far from those before and after them {times} for {contract}: {price} in the five minutes from \
         {at}, with {close} at their end; the candles that have them are to be resolved"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, Price, Timestamp};

    const AT: Timestamp = Timestamp::from_us(1_769_744_700_000_000);

    fn named(
        volumes: Counted<ContradictedVolume>,
        jumps: Counted<OiJump>,
        outliers: Counted<PriceOutlier>,
    ) -> Vec<String> {
        let index = Contract::index(Exchange::Nse, "NIFTY");
        describe_counted(Provider::AngelOne, &volumes, &jumps, &outliers, |_| Some(&index))
    }

    #[test]
    fn what_was_counted_is_named_with_its_provider_and_the_last_of_it() {
        let instrument = InstrumentId(7);
        let none = || (Counted::default(), Counted::default(), Counted::default());
        assert_eq!(named(none().0, none().1, none().2), [""; 0]);
        let volume = ContradictedVolume { instrument, volume: 325_000_000, later: 19_500, event_time: AT };
        let once = Counted { count: 1, last: Some(volume) };
        let texts = named(once, none().1, none().2);
        assert!(
            texts[0].starts_with("angel_one contradicted its own volume of the day once for"),
            "{texts:?}"
        );
        assert!(texts[0].contains("325000000, then 19500 at 09:15:00"), "{texts:?}");
        let texts = named(Counted { count: 3, ..once }, none().1, none().2);
        assert!(texts[0].contains("3 times, the last time for"), "{texts:?}");
        for (fault, text) in [
            (OiJumpFault::Volume(9_750), " with 9750 traded in the whole day; one of the two is wrong"),
            (OiJumpFault::Back(65_130), " and back to 65130; 65000000 is wrong"),
        ] {
            let jump = OiJump { instrument, before: 65_000, after: 65_000_000, event_time: AT, fault };
            let texts = named(none().0, Counted { count: 1, last: Some(jump) }, none().2);
            assert!(texts[0].contains(&format!("from 65000 to 65000000 at 09:15:00{text}")), "{texts:?}");
        }
        let [price, close] = [25_000, 120].map(|rupees| Price::from_e4(rupees * 10_000));
        let outlier = PriceOutlier { instrument, price, start: AT, close };
        let texts = named(none().0, none().1, Counted { count: 1, last: Some(outlier) });
        assert!(
            texts[0].contains("25000.00 in the five minutes from 09:15:00, with 120.00 at their end"),
            "{texts:?}"
        );
    }
}
