//! How far the website lags behind the market.

use super::super::draw::draw;
use super::stamps::{REBUILD_S, rebuild_number, rebuild_start};
use crate::market::Timestamp;
use std::{fmt, str::FromStr};

/// Seconds between a chain's stamp and its being shown: the same always, or drawn from a range for each chain and
/// rebuild. Measured on the real site: 49 s to 159 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NseDelay {
    least_s: u32,
    most_s: u32,
}

/// A text that is no delay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no delay; write seconds, 60, or a range of them, 49-159, of at most {DELAY_MAX_S}")]
pub struct DelayError {
    text: String,
}

const DELAY_MAX_S: u32 = 3_600;

impl FromStr for NseDelay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<NseDelay, DelayError> {
        let wrong = || DelayError { text: text.to_owned() };
        let seconds = |text: &str| text.parse::<u32>().ok().filter(|seconds| *seconds <= DELAY_MAX_S);
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let (least_s, most_s) = seconds(least).zip(seconds(most)).ok_or_else(wrong)?;
        if least_s > most_s {
            return Err(wrong());
        }
        Ok(NseDelay { least_s, most_s })
    }
}

impl fmt::Display for NseDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least_s == self.most_s {
            true => write!(f, "{}", self.least_s),
            false => write!(f, "{}-{}", self.least_s, self.most_s),
        }
    }
}

impl NseDelay {
    /// The instant as of which a chain is shown at `now`. It lies within the delay before `now` and never goes back.
    ///
    /// Between two rebuilds the delay is one drawn number. When a longer delay follows a shorter one, the shown instant
    /// stands still until the longer delay is reached.
    pub(super) fn shown_at(self, seed: u64, chain: u64, now: Timestamp) -> Timestamp {
        let span = u64::from(self.most_s - self.least_s) + 1;
        if span == 1 {
            return now.plus_seconds(-i64::from(self.least_s));
        }
        let delay_s =
            |number: i64| i64::from(self.least_s) + (draw(seed, &[chain, number as u64]) % span) as i64;
        let current = rebuild_number(now);
        let before = span as i64 / REBUILD_S + 1;
        let ends = (current - before..current).map(|number| (rebuild_start(number + 1), number));
        let shown = ends.chain([(now, current)]).map(|(until, number)| until.plus_seconds(-delay_s(number)));
        shown.max().unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_us(1_769_744_700_000_000);

    #[test]
    fn delays_are_seconds_or_a_range() {
        for text in ["0", "60", "49-159"] {
            assert_eq!(text.parse::<NseDelay>().expect(text).to_string(), text);
        }
        for wrong in ["", "-1", "159-49", "49-", "1.5", "3601", "a-b"] {
            wrong.parse::<NseDelay>().expect_err(wrong);
        }
        assert_eq!(NseDelay::default().shown_at(1, 2, NOW), NOW);
        let fixed: NseDelay = "60".parse().expect("a delay");
        assert_eq!(fixed.shown_at(1, 2, NOW), NOW.plus_seconds(-60));
    }

    #[test]
    fn a_drawn_delay_stays_in_its_range_and_the_site_never_goes_back() {
        let delay: NseDelay = "49-159".parse().expect("a delay");
        for chain in 0..20 {
            let (mut before, mut least, mut most) = (Timestamp::from_us(0), 159_000, 49_000);
            for tenth in 0..36_000 {
                let now = NOW.plus_us(tenth * 100_000);
                let shown = delay.shown_at(7, chain, now);
                let age_ms = now.us_since(shown) / 1_000;
                assert!((49_000..=159_000).contains(&age_ms), "{age_ms} ms");
                assert!(before <= shown, "at {now}: {before}, then {shown}");
                (before, least, most) = (shown, age_ms.min(least), age_ms.max(most));
            }
            assert!(least < 60_000 && most > 145_000, "{least} to {most} ms");
        }
        let at = |seed, chain| delay.shown_at(seed, chain, NOW);
        assert_eq!(at(7, 1), at(7, 1));
        assert!((0..10).any(|chain| at(7, chain) != at(7, chain + 1)), "chains differ");
        assert!((0..10).any(|seed| at(seed, 1) != at(seed + 1, 1)), "seeds differ");
    }
}
