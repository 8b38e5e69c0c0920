//! Black's 1976 formula for European options on a forward, without discounting.
//!
//! Call = F N(d1) - K N(d2), put = K N(-d2) - F N(-d1), d1 = (ln(F/K) + v^2 T / 2) / (v sqrt T), d2 = d1 - v sqrt T.
//! (F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3, 1976; the discount factor is taken
//! as 1.) Arithmetic goes through the `libm` crate, whose results are the same on every machine.

use crate::market::{OptionType, Price, Timestamp, TradingDate};
use chrono::NaiveTime;

const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

/// Years from an instant to half past three of an expiry. The last half hour keeps half an hour, so that the formulas
/// stay finite.
pub(super) fn years_left(expiry: TradingDate, now: Timestamp) -> f64 {
    let closes = NaiveTime::from_hms_opt(15, 30, 0).expect("half past three is a time");
    let left_s = Timestamp::on(expiry, closes).us_since(now) as f64 / 1e6;
    left_s.max(1_800.0) / SECONDS_PER_YEAR
}

/// The forward that put-call parity implies at the strike where call and put are worth about the same, from strikes with
/// the prices of both. `None` where nothing traded on both sides.
pub(super) fn forward_by_parity(prices: impl Iterator<Item = (Price, Price, Price)>) -> Option<f64> {
    let traded = prices.filter(|(_, call, put)| *call > Price::ZERO && *put > Price::ZERO);
    let differences = traded.map(|(strike, call, put)| (strike.as_e4(), call.as_e4() - put.as_e4()));
    let (strike, difference) = differences.min_by_key(|(_, difference)| difference.abs())?;
    Some(Price::from_e4(strike + difference).as_rupees())
}

/// What an option is worth and how that moves. Rupees, years and volatility as a fraction (0.2 is 20 %).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greeks {
    pub delta: f64,
    pub gamma: f64,
    /// Per calendar day.
    pub theta: f64,
    /// Per percent point of volatility.
    pub vega: f64,
}

/// The terms that price an option apart from its volatility.
#[derive(Clone, Copy, Debug)]
pub struct OptionTerms {
    pub forward: f64,
    pub strike: f64,
    /// Until expiry; greater than zero.
    pub years: f64,
    pub option_type: OptionType,
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

fn normal_density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt()
}

impl OptionTerms {
    fn d1_d2(&self, volatility: f64) -> (f64, f64) {
        let deviation = volatility * self.years.sqrt();
        let d1 = (libm::log(self.forward / self.strike) + 0.5 * deviation * deviation) / deviation;
        (d1, d1 - deviation)
    }

    pub fn price(&self, volatility: f64) -> f64 {
        let (d1, d2) = self.d1_d2(volatility);
        match self.option_type {
            OptionType::Call => self.forward * normal_cdf(d1) - self.strike * normal_cdf(d2),
            OptionType::Put => self.strike * normal_cdf(-d2) - self.forward * normal_cdf(-d1),
        }
    }

    /// What it would be worth if it expired at once.
    fn intrinsic_value(&self) -> f64 {
        let gain = match self.option_type {
            OptionType::Call => self.forward - self.strike,
            OptionType::Put => self.strike - self.forward,
        };
        gain.max(0.0)
    }

    pub fn greeks(&self, volatility: f64) -> Greeks {
        let (d1, _) = self.d1_d2(volatility);
        let root = self.years.sqrt();
        let density = normal_density(d1);
        let delta = match self.option_type {
            OptionType::Call => normal_cdf(d1),
            OptionType::Put => normal_cdf(d1) - 1.0,
        };
        Greeks {
            delta,
            gamma: density / (self.forward * volatility * root),
            theta: -self.forward * density * volatility / (2.0 * root) / 365.0,
            vega: self.forward * density * root / 100.0,
        }
    }

    /// The volatility that gives `price`, between 0.1 % and 500 %. `None` where no volatility does: at or below the
    /// intrinsic value, or above what 500 % is worth.
    pub fn implied_volatility(&self, price: f64) -> Option<f64> {
        let (mut low, mut high) = (0.001, 5.0);
        let is_priceable = self.forward > 0.0 && self.strike > 0.0 && self.years > 0.0;
        // Far from the money, rounding may put the price at the least volatility below the intrinsic value.
        let least = self.price(low).max(self.intrinsic_value());
        if !is_priceable || price <= least || price >= self.price(high) {
            return None;
        }
        // The price grows with volatility, so halving finds it; 40 halvings leave 5e-12.
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            match self.price(middle) < price {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(0.5 * (low + high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(strike: f64, option_type: OptionType) -> OptionTerms {
        OptionTerms { forward: 100.0, strike, years: 1.0, option_type }
    }

    #[test]
    fn agrees_with_published_values() {
        // At the money with 20 % and one year: F (2 N(0.1) - 1), N(0.1) = 0.539827837.
        let call = terms(100.0, OptionType::Call);
        assert!((call.price(0.2) - 7.965_567_4).abs() < 1e-6, "{}", call.price(0.2));
        let greeks = call.greeks(0.2);
        assert!((greeks.delta - 0.539_827_837).abs() < 1e-8);
        assert!((greeks.vega - 0.396_952_547).abs() < 1e-8, "{greeks:?}");
    }

    proptest! {
        #[test]
        fn put_and_call_keep_parity(strike in 50.0_f64..200.0, volatility in 0.05_f64..2.0) {
            let call = terms(strike, OptionType::Call).price(volatility);
            let put = terms(strike, OptionType::Put).price(volatility);
            prop_assert!((call - put - (100.0 - strike)).abs() < 1e-9);
        }

        #[test]
        fn implied_volatility_inverts_the_price(strike in 70.0_f64..140.0, volatility in 0.1_f64..2.0) {
            let terms = terms(strike, OptionType::Put);
            let implied = terms.implied_volatility(terms.price(volatility)).expect("priceable");
            prop_assert!((implied - volatility).abs() < 1e-6, "{} {}", implied, volatility);
        }

        #[test]
        fn no_volatility_gives_less_than_the_intrinsic_value(strike in 50.0_f64..200.0) {
            let terms = terms(strike, OptionType::Call);
            prop_assert_eq!(terms.implied_volatility((100.0 - strike).max(0.0) * 0.99), None);
        }

        #[test]
        fn a_worthless_option_has_no_volatility(strike in 100.0_f64..110.0) {
            prop_assert_eq!(terms(strike, OptionType::Call).implied_volatility(0.0), None);
        }
    }
}
