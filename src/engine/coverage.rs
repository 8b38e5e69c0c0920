//! How each bucket of the day came to its values, two bytes a bucket.

use crate::market::{Bucket, BucketState, CoverageRun, InstrumentId, Provider};

/// State, revision and provider of one closed bucket of one instrument. Zero: not closed, or not watched then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketMark(u16);

impl BucketMark {
    const REVISION_MAX: u16 = 31;

    pub fn new(state: BucketState, provider: Option<Provider>, revision: u16) -> BucketMark {
        let provider = u16::from(provider.map_or(0, Provider::code));
        BucketMark(provider << 8 | revision.min(Self::REVISION_MAX) << 3 | u16::from(state.code()))
    }

    /// `None` while the bucket is open or was not watched.
    pub fn state(self) -> Option<BucketState> {
        BucketState::from_code((self.0 & 0b111) as u8)
    }

    /// Counts up to 31 and stays there.
    pub fn revision(self) -> u16 {
        self.0 >> 3 & Self::REVISION_MAX
    }

    pub fn provider(self) -> Option<Provider> {
        Provider::from_code((self.0 >> 8) as u8)
    }
}

/// Run-length codes one instrument's marks; `first` is the bucket of the first mark.
pub fn runs(instrument: InstrumentId, first: Bucket, marks: &[BucketMark]) -> Vec<CoverageRun> {
    let mut runs: Vec<CoverageRun> = Vec::new();
    let mut bucket = first;
    let mut unbroken = false;
    for mark in marks {
        if let Some(state) = mark.state() {
            let provider = mark.provider();
            match runs.last_mut() {
                Some(run) if unbroken && run.state == state && run.provider == provider => {
                    run.to_bucket = bucket
                }
                _ => runs.push(CoverageRun {
                    instrument,
                    from_bucket: bucket,
                    to_bucket: bucket,
                    state,
                    provider,
                }),
            }
        }
        unbroken = mark.state().is_some();
        bucket = bucket.next();
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timestamp;
    use proptest::prelude::*;

    fn marks() -> impl Strategy<Value = BucketMark> {
        let providers = prop::option::of(prop::sample::select(Provider::ALL.to_vec()));
        let closed = (prop::sample::select(BucketState::ALL.to_vec()), providers, 0_u16..32)
            .prop_map(|(state, provider, revision)| BucketMark::new(state, provider, revision));
        prop_oneof![1 => Just(BucketMark::default()), 5 => closed]
    }

    proptest! {
        #[test]
        fn a_mark_gives_back_what_it_was_made_of(revision in 0_u16..100) {
            for state in BucketState::ALL {
                let mark = BucketMark::new(state, Some(Provider::Nse), revision);
                prop_assert_eq!(mark.state(), Some(state));
                prop_assert_eq!(mark.provider(), Some(Provider::Nse));
                prop_assert_eq!(mark.revision(), revision.min(31));
            }
        }

        #[test]
        fn runs_say_the_same_as_the_marks(marks in prop::collection::vec(marks(), 0..60)) {
            let first = Bucket::containing(Timestamp::from_us(1_769_744_700_000_000));
            let runs = runs(InstrumentId(1), first, &marks);
            let mut bucket = first;
            for mark in &marks {
                let covering: Vec<_> =
                    runs.iter().filter(|run| run.from_bucket <= bucket && bucket <= run.to_bucket).collect();
                match mark.state() {
                    None => prop_assert!(covering.is_empty()),
                    Some(state) => {
                        prop_assert_eq!(covering.len(), 1);
                        prop_assert_eq!(covering[0].state, state);
                        prop_assert_eq!(covering[0].provider, mark.provider());
                    }
                }
                bucket = bucket.next();
            }
            for pair in runs.windows(2) {
                let joined = pair[0].to_bucket.next() == pair[1].from_bucket;
                let alike = pair[0].state == pair[1].state && pair[0].provider == pair[1].provider;
                prop_assert!(!(joined && alike), "two runs could be one");
            }
        }
    }
}
