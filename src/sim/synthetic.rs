//! A market made of a seed: index paths, Black-76 option prices, open interest in whole lots, cumulative volume.
//!
//! Invariant: the same parameters give the same events on every machine. All randomness comes from one ChaCha stream,
//! and arithmetic beyond the four operations and the square root from the `libm` crate.
//!
//! Each simulated second the underlyings move and are quoted once; between, options are quoted at evenly spaced
//! milliseconds, a tenth of them far more often than the rest.

use super::{
    black76::OptionTerms,
    irregularities::Irregularities,
    lots::{self, LotOverrides},
    market::{ABSENT, RawEvent, SimMarket},
};
use crate::market::{Contract, Exchange, OptionType, Price, Timestamp, TradingDate};
use chrono::{Days, NaiveDate, NaiveTime};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// What options are written on.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticUnderlying {
    pub name: String,
    /// Level or price at the session's start, in rupees.
    pub spot: f64,
    /// Distance between strikes, in rupees.
    pub strike_step: u32,
    /// Annual, as a fraction.
    pub volatility: f64,
    pub lot_size: u32,
    pub is_index: bool,
}

impl SyntheticUnderlying {
    /// A known index by its name, or an invented share of that name; `number` tells shares apart.
    pub fn named(name: &str, number: usize, date: TradingDate) -> SyntheticUnderlying {
        let (spot, strike_step, volatility, is_index) = match name {
            "NIFTY" => (25_300.0, 50, 0.13, true),
            "BANKNIFTY" => (59_700.0, 100, 0.16, true),
            "FINNIFTY" => (27_800.0, 50, 0.15, true),
            "MIDCPNIFTY" => (13_400.0, 25, 0.18, true),
            "NIFTYNXT50" => (69_500.0, 100, 0.18, true),
            _ => (200.0 + 50.0 * (number % 60) as f64, 5, 0.28, false),
        };
        let lot_size = lots::lot_size(name, date).unwrap_or(250 + 25 * (number % 40) as u32);
        SyntheticUnderlying { name: name.to_owned(), spot, strike_step, volatility, lot_size, is_index }
    }
}

/// Parameters of a synthetic market.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticMarket {
    pub seed: u64,
    pub date: TradingDate,
    /// First second of the market in IST.
    pub opens: NaiveTime,
    pub duration_s: u32,
    /// Option events each second over all underlyings.
    pub ticks_per_second: u32,
    pub underlyings: Vec<SyntheticUnderlying>,
    /// Strikes of each expiry, centred on the spot; CE and PE each.
    pub strikes: u32,
    /// Weekly expiries, the first on the Tuesday on or after the date.
    pub expiries: u32,
    /// For how long a contract's quotes repeat its open interest; 0: every quote has the latest.
    pub open_interest_interval_s: u32,
}

impl Default for SyntheticMarket {
    /// The three index underlyings for a whole session, 100 option events a second.
    fn default() -> SyntheticMarket {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("30 January 2026 is a date");
        SyntheticMarket {
            seed: 1,
            date,
            opens: NaiveTime::from_hms_opt(9, 15, 0).expect("a quarter past nine is a time"),
            duration_s: 22_500,
            ticks_per_second: 100,
            underlyings: Self::name_underlyings(&["NIFTY", "BANKNIFTY", "MIDCPNIFTY"], date),
            strikes: 80,
            expiries: 1,
            open_interest_interval_s: 0,
        }
    }
}

struct OptionBook {
    contract: u32,
    underlying: usize,
    strike: f64,
    option_type: OptionType,
    lot_size: i64,
    /// Days until expiry; at least a quarter, so that the last day still has a price.
    expiry_days: f64,
    lots_open: i64,
    /// What quotes say, and the second from which on they say something else.
    lots_told: i64,
    told_until_s: u32,
    lots_traded: i64,
}

struct Path {
    contract: u32,
    level: f64,
}

impl SyntheticMarket {
    pub fn name_underlyings(names: &[&str], date: TradingDate) -> Vec<SyntheticUnderlying> {
        names
            .iter()
            .enumerate()
            .map(|(number, name)| SyntheticUnderlying::named(name, number, date))
            .collect()
    }

    /// Weekly expiries on Tuesdays, today's included.
    fn expiry_dates(&self) -> Vec<TradingDate> {
        use chrono::Datelike;
        let weekday = u64::from(self.date.weekday().num_days_from_monday());
        let first = self.date + Days::new((8 - weekday) % 7);
        (0..u64::from(self.expiries)).map(|week| first + Days::new(7 * week)).collect()
    }

    /// Generates all events; 32 bytes each.
    pub fn generate(&self) -> SimMarket {
        self.generate_with(&LotOverrides::new(), &Irregularities::default())
    }

    /// The same with lots that go before the underlyings', unlisted sides left out, and fractional lots.
    pub fn generate_with(&self, lots: &LotOverrides, irregularities: &Irregularities) -> SimMarket {
        let mut rng = ChaCha12Rng::seed_from_u64(self.seed);
        let mut contracts = Vec::new();
        let mut paths = Vec::new();
        let mut books = Vec::new();
        for (position, underlying) in self.underlyings.iter().enumerate() {
            let own = match underlying.is_index {
                true => Contract::index(Exchange::Nse, &underlying.name),
                false => Contract::equity(Exchange::Nse, &underlying.name),
            };
            paths.push(Path { contract: contracts.len() as u32, level: underlying.spot });
            contracts.push(own);
            self.list_options(position, lots, &mut contracts, &mut books, &mut rng);
        }
        let mut events = Vec::with_capacity(self.event_count());
        let opens_ms = Timestamp::on(self.date, self.opens).as_ms();
        for second in 0..self.duration_s {
            let second_ms = opens_ms + i64::from(second) * 1_000;
            for (path, underlying) in paths.iter_mut().zip(&self.underlyings) {
                // A year of trading has about 5.7 million seconds.
                let step = underlying.volatility / 5.7e6_f64.sqrt();
                path.level *= libm::exp(step * gaussian(&mut rng));
                events.push(RawEvent {
                    time_ms: second_ms,
                    contract: path.contract,
                    last_price_e4: round_to_tick(path.level),
                    open_interest: ABSENT,
                    volume: ABSENT,
                });
            }
            let ticks = if books.is_empty() { 0 } else { i64::from(self.ticks_per_second) };
            for tick in 0..ticks {
                let book = choose(&mut books, &mut rng);
                let time_ms = second_ms + tick * 1_000 / ticks;
                events.push(self.quote(book, &paths, time_ms, second, &mut rng));
            }
        }
        let mut all_lots = lots.clone();
        for underlying in &self.underlyings {
            all_lots.set_if_unnamed(&underlying.name, underlying.lot_size);
        }
        let lot_of = |option: &Contract| {
            option.expiry().and_then(|expiry| all_lots.get(&option.underlying, expiry)).unwrap_or(1)
        };
        irregularities.add_fractions(&contracts, lot_of, &mut events);
        let (contracts, events) = irregularities.unlist(contracts, events);
        SimMarket::build(contracts, events, &all_lots)
            .expect("a synthetic market lasts at most 49 days of seconds")
    }

    /// How many events [`SyntheticMarket::generate`] makes.
    pub fn event_count(&self) -> usize {
        self.duration_s as usize * (self.underlyings.len() + self.ticks_per_second as usize)
    }

    fn list_options(
        &self,
        position: usize,
        lots: &LotOverrides,
        contracts: &mut Vec<Contract>,
        books: &mut Vec<OptionBook>,
        rng: &mut ChaCha12Rng,
    ) {
        let underlying = &self.underlyings[position];
        let step = f64::from(underlying.strike_step);
        let middle = (underlying.spot / step).round() as i64;
        let lowest = (middle - i64::from(self.strikes / 2)).max(1);
        for expiry in self.expiry_dates() {
            let expiry_days = (expiry - self.date).num_days() as f64;
            let lot_size = lots.get(&underlying.name, expiry).unwrap_or(underlying.lot_size);
            for number in lowest..lowest + i64::from(self.strikes) {
                let strike = number as f64 * step;
                let strike_price = Price::from_e4(number * i64::from(underlying.strike_step) * 10_000);
                for option_type in OptionType::BOTH {
                    let contract = contracts.len() as u32;
                    let name = &underlying.name;
                    contracts.push(Contract::option(Exchange::Nse, name, expiry, strike_price, option_type));
                    books.push(OptionBook {
                        contract,
                        underlying: position,
                        strike,
                        option_type,
                        lot_size: i64::from(lot_size),
                        expiry_days: expiry_days.max(0.25),
                        lots_open: rng.random_range(0..20_000),
                        lots_told: 0,
                        told_until_s: 0,
                        lots_traded: 0,
                    });
                }
            }
        }
    }

    fn quote(
        &self,
        book: &mut OptionBook,
        paths: &[Path],
        time_ms: i64,
        second: u32,
        rng: &mut ChaCha12Rng,
    ) -> RawEvent {
        let underlying = &self.underlyings[book.underlying];
        let forward = paths[book.underlying].level;
        let years = (book.expiry_days - f64::from(second) / 86_400.0).max(0.01) / 365.0;
        let terms = OptionTerms { forward, strike: book.strike, years, option_type: book.option_type };
        let away = (book.strike - forward) / forward;
        let volatility = underlying.volatility * (1.0 + 20.0 * away * away - 0.5 * away);
        let price = terms.price(volatility.clamp(0.01, 3.0)).max(0.05);
        let lots_traded = rng.random_range(0..40_i64);
        book.lots_traded += lots_traded;
        // Some trades open positions, some close them, most only change hands.
        book.lots_open = (book.lots_open + rng.random_range(-8..=8_i64)).max(0);
        if second >= book.told_until_s {
            (book.lots_told, book.told_until_s) = (book.lots_open, second + self.open_interest_interval_s);
        }
        RawEvent {
            time_ms,
            contract: book.contract,
            last_price_e4: round_to_tick(price),
            open_interest: book.lots_told * book.lot_size,
            volume: book.lots_traded * book.lot_size,
        }
    }
}

/// To 0.05 rupee.
fn round_to_tick(rupees: f64) -> i64 {
    (rupees * 20.0).round() as i64 * 500
}

/// About normal: the sum of twelve uniform numbers less six has mean 0 and variance 1.
pub(super) fn gaussian(rng: &mut ChaCha12Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Half of the choices fall on a tenth of the books, spread over all underlyings.
fn choose<'a>(books: &'a mut [OptionBook], rng: &mut ChaCha12Rng) -> &'a mut OptionBook {
    let count = books.len();
    let any = rng.random_range(0..count as u64) as usize;
    let position = if rng.random::<bool>() { any / 10 * 10 } else { any };
    &mut books[position]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fnv(market: &SimMarket) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |value: i64| {
            for byte in value.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for event in market.events() {
            take(market.time(event).as_ms());
            take(event.slot() as i64);
            take(event.last_price_e4);
            take(event.open_interest);
            take(event.volume);
        }
        hash
    }

    fn small(seed: u64) -> SyntheticMarket {
        SyntheticMarket { seed, duration_s: 60, expiries: 2, ..SyntheticMarket::default() }
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let one = fnv(&small(7).generate());
        assert_eq!(one, fnv(&small(7).generate()));
        assert_ne!(one, fnv(&small(8).generate()));
        assert_eq!(one, PINNED_HASH, "{one:#x}: the events of a seed changed");
    }

    const PINNED_HASH: u64 = 0xd1a9_69d4_990c_d5e3;

    #[test]
    fn contracts_of_two_lot_sizes_are_quoted_in_whole_lots_of_their_own() {
        let mut lots = LotOverrides::new();
        lots.set("NIFTY", Some(crate::wire::nse::LotMonth { year: 2026, month: 3 }), 75);
        let parameters = SyntheticMarket { expiries: 6, ..small(1) };
        let market = parameters.generate_with(&lots, &Irregularities::default());
        let mut sizes = std::collections::BTreeSet::new();
        for event in market.events() {
            let listed = &market.contracts()[event.slot()];
            let (Some(expiry), Some(units)) = (listed.contract.expiry(), event.open_interest()) else {
                continue;
            };
            assert_eq!(units % i64::from(listed.lot_size), 0, "{}", listed.contract);
            if &*listed.contract.underlying == "NIFTY" {
                sizes.insert((expiry.to_string()[..7].to_owned(), listed.lot_size));
            }
        }
        let expected = [("2026-02".to_owned(), 65), ("2026-03".to_owned(), 75)];
        assert_eq!(sizes, expected.into());
    }

    #[test]
    fn values_are_plausible() {
        let parameters = small(1);
        let market = parameters.generate();
        assert_eq!(market.events().len(), parameters.event_count());
        assert_eq!(market.contracts().len(), 3 * (1 + 2 * 2 * 80));
        let mut volumes = vec![0; market.contracts().len()];
        for event in market.events() {
            let listed = &market.contracts()[event.slot()];
            let price = event.last_price().expect("a price");
            assert!(price > Price::ZERO && price.as_e4() % 500 == 0, "{price}");
            if listed.contract.is_option() {
                let lot = i64::from(listed.lot_size);
                let (oi, volume) = (event.open_interest().expect("oi"), event.volume().expect("volume"));
                assert!(oi >= 0 && oi % lot == 0 && volume % lot == 0);
                assert!(volume >= volumes[event.slot()], "volume is cumulative");
                volumes[event.slot()] = volume;
            }
        }
        let expiries: std::collections::BTreeSet<_> =
            market.contracts().iter().filter_map(|listed| listed.contract.expiry()).collect();
        let dates: Vec<String> = expiries.iter().map(ToString::to_string).collect();
        assert_eq!(dates, ["2026-02-03", "2026-02-10"]);
    }
}
