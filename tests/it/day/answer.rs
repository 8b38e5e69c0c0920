//! What a recorded day must have become, worked out from the recording alone, without any code of bhavd's engines.

use std::{collections::BTreeMap, fs::File, path::Path};

pub const SESSION_OPEN_S: i64 = 9 * 3_600 + 15 * 60;
pub const SESSION_CLOSE_S: i64 = 15 * 3_600 + 30 * 60;
pub const BUCKET_S: i64 = 180;

/// One recorded line of an option: second of the day, open interest, last price in 1/10,000 rupee, volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub second: i64,
    pub open_interest: i64,
    pub last_price_e4: i64,
    pub volume: i64,
}

/// The recording by contract, as the store names contracts: `NSE:NIFTY 2026-02-03 25000 CE`.
#[derive(Debug)]
pub struct Answer {
    pub contracts: BTreeMap<String, Vec<Value>>,
}

impl Answer {
    pub fn read(path: &Path) -> Answer {
        let file = flate2::read::GzDecoder::new(File::open(path).expect("a readable recording"));
        let mut reader = csv::Reader::from_reader(file);
        let mut contracts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in reader.records() {
            let row = row.expect("a CSV row");
            if &row[2] != "OPT" {
                continue;
            }
            let name = format!("NSE:{} {} {} {}", &row[1], &row[3], &row[4], &row[5]);
            let time: Vec<i64> =
                row[0][11..].split(':').map(|part| part.parse().expect("a number")).collect();
            let last_price: f64 = row[6].parse().expect("a price");
            contracts.entry(name).or_default().push(Value {
                second: time[0] * 3_600 + time[1] * 60 + time[2],
                open_interest: row[7].parse().expect("open interest"),
                last_price_e4: (last_price * 10_000.0).round() as i64,
                volume: row[8].parse().expect("volume"),
            });
        }
        Answer { contracts }
    }

    /// What a bucket's row must say: the last value before its end.
    pub fn bucket(&self, contract: &str, bucket_second: i64) -> Option<Value> {
        self.contracts[contract].iter().rfind(|value| value.second < bucket_second + BUCKET_S).copied()
    }

    /// The changes between consecutive values of the session: contract, second, old, new.
    pub fn deltas(&self) -> Vec<(String, i64, i64, i64)> {
        let mut deltas = Vec::new();
        for (contract, values) in &self.contracts {
            for pair in values.windows(2) {
                let [old, new] = pair else { unreachable!("windows of two") };
                if new.second < SESSION_CLOSE_S && old.open_interest != new.open_interest {
                    deltas.push((contract.clone(), new.second, old.open_interest, new.open_interest));
                }
            }
        }
        deltas
    }

    pub fn last(&self, contract: &str) -> Value {
        *self.contracts[contract].last().expect("a contract has values")
    }
}

/// Lines of a dumped table, split into their cells.
pub fn cells<'a>(dump: &'a bhavd::store::DayDump, table: &str) -> Vec<Vec<&'a str>> {
    dump.get(table).into_iter().flatten().map(|line| line.split('|').collect()).collect()
}

/// Second of the day in India of an instant in microseconds.
pub fn second_of_day(epoch_us: &str) -> i64 {
    let epoch_us: i64 = epoch_us.parse().expect("an instant");
    (epoch_us / 1_000_000 + 19_800).rem_euclid(86_400)
}

/// A last price as recordings have it: 0 for none.
pub fn price(cell: &str) -> i64 {
    if cell.is_empty() { 0 } else { number(cell) }
}

pub fn number(cell: &str) -> i64 {
    cell.parse().unwrap_or_else(|_| panic!("{cell:?} is not a number"))
}
