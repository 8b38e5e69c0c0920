//! The command line.

use crate::{
    control::{
        CandlesRequest, ChainRequest, CoverageRequest, DeltasRequest, LocalTime, OpenInterestRequest,
        ReplayVerifyRequest, Request, WatchRequest,
    },
    market::{CandleInterval, Contract, TradingDate},
};
use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, 4 denied, 5 timed out, 6 unhealthy.
Dates are YYYY-MM-DD and times are IST; without a date it is the day that the daemon's clock shows.";

/// Ask bhavd, the recorder of the Indian options market.
#[derive(Debug, Parser)]
#[command(name = "bhavctl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// The daemon's control socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "BHAVD_SOCKET",
        default_value = "/run/bhavd/control.sock"
    )]
    pub socket: PathBuf,
    /// Print the answer as one JSON object (watch: one a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// Seconds to wait for an answer [default: 30, replay: 600]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon on one page
    Status {
        /// Exit with 6 unless the daemon is healthy
        #[arg(long)]
        check: bool,
    },
    /// The actors, their queues and their restarts
    Actors {
        /// Draw the tree of supervisors, with everything that is known of each actor
        #[arg(long)]
        tree: bool,
    },
    /// The connections to providers
    Feeds,
    /// An option chain
    Chain {
        #[arg(value_parser = symbol)]
        underlying: String,
        /// The expiry, YYYY-MM-DD [default: the nearest]
        #[arg(long, value_name = "DATE", value_parser = date)]
        expiry: Option<TradingDate>,
        /// The chain as it stood then: HH:MM[:SS] or "YYYY-MM-DD HH:MM[:SS]", IST [default: live]
        #[arg(long, value_name = "TIME")]
        at: Option<LocalTime>,
        /// Only this many strikes on each side of the money
        #[arg(long, value_name = "N")]
        strikes: Option<usize>,
    },
    /// A contract's open interest through a day: bhavctl oi NIFTY 2026-02-03 25000 CE
    Oi {
        /// The contract, in one argument or several
        #[arg(required = true, num_args = 1.., value_name = "CONTRACT")]
        contract: Vec<String>,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
    },
    /// Changes of open interest, newest first
    Deltas {
        #[arg(long, value_parser = symbol, conflicts_with = "contract")]
        underlying: Option<String>,
        #[arg(long, value_parser = contract)]
        contract: Option<String>,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
        /// Rows at most, 1 to 10000
        #[arg(
            long,
            default_value_t = DeltasRequest::LIMIT_DEFAULT,
            value_parser = clap::value_parser!(u32).range(1..=DeltasRequest::LIMIT_MAX as i64)
        )]
        limit: u32,
    },
    /// Candles of an index or share
    Candles {
        #[arg(value_parser = symbol)]
        symbol: String,
        /// 3m, 5m or day
        #[arg(long, default_value = "5m", value_parser = interval)]
        interval: CandleInterval,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
    },
    /// How complete a day is
    Coverage {
        #[arg(value_parser = date)]
        date: TradingDate,
    },
    /// What happens, as it happens
    Watch {
        #[arg(long, value_parser = symbol)]
        underlying: Option<String>,
    },
    /// The log of what was received
    #[command(subcommand)]
    Replay(ReplayCommand),
}

#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Run a day's log again and compare with the store; exits with 1 if they differ
    Verify {
        #[arg(value_parser = date)]
        date: TradingDate,
    },
}

impl Command {
    /// What is asked of the daemon.
    ///
    /// # Errors
    /// A sentence on what is wrong with the arguments.
    pub fn request(&self) -> Result<Request, String> {
        Ok(match self {
            Command::Status { .. } => Request::Status,
            Command::Actors { .. } => Request::Actors,
            Command::Feeds => Request::Feeds,
            Command::Chain { underlying, expiry, at, .. } => {
                Request::Chain(ChainRequest { underlying: underlying.clone(), expiry: *expiry, at: *at })
            }
            Command::Oi { contract: words, date } => Request::OpenInterest(OpenInterestRequest {
                contract: contract(&words.join(" "))?,
                date: *date,
            }),
            Command::Deltas { underlying, contract, date, limit } => Request::Deltas(DeltasRequest {
                contract: contract.clone(),
                underlying: underlying.clone(),
                date: *date,
                limit: Some(*limit),
            }),
            Command::Candles { symbol, interval, date } => Request::Candles(CandlesRequest {
                symbol: symbol.clone(),
                interval_minutes: Some(interval.minutes() as u32),
                date: *date,
            }),
            Command::Coverage { date } => Request::Coverage(CoverageRequest { date: *date }),
            Command::Watch { underlying } => Request::Watch(WatchRequest { underlying: underlying.clone() }),
            Command::Replay(ReplayCommand::Verify { date }) => {
                Request::ReplayVerify(ReplayVerifyRequest { date: *date })
            }
        })
    }
}

fn date(text: &str) -> Result<TradingDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "write the date as YYYY-MM-DD".to_owned())
}

/// Exchanges write symbols in upper case; people do not.
fn symbol(text: &str) -> Result<String, String> {
    let symbol = text.trim().to_ascii_uppercase();
    if symbol.is_empty() { Err("write a symbol such as NIFTY".to_owned()) } else { Ok(symbol) }
}

fn contract(text: &str) -> Result<String, String> {
    let contract: Contract = text.to_ascii_uppercase().parse().map_err(|error| format!("{error}"))?;
    Ok(contract.to_string())
}

fn interval(text: &str) -> Result<CandleInterval, String> {
    match text {
        "3m" => Ok(CandleInterval::ThreeMinutes),
        "5m" => Ok(CandleInterval::FiveMinutes),
        "day" => Ok(CandleInterval::Day),
        _ => Err("allowed are 3m, 5m and day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, error::ErrorKind};
    use serde_json::json;

    fn request(line: &str) -> Result<Request, String> {
        let arguments = Arguments::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        arguments.command.request()
    }

    #[test]
    fn the_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lines_become_requests() {
        for (line, verb, parameters) in [
            ("bhavctl status --check", "Status", json!({})),
            (
                "bhavctl --json chain nifty --expiry 2026-02-03 --at 11:42",
                "Chain",
                json!({"underlying": "NIFTY", "expiry": "2026-02-03", "at": "11:42:00"}),
            ),
            (
                "bhavctl oi nifty 2026-02-03 25000 ce",
                "OpenInterest",
                json!({"contract": "NIFTY 2026-02-03 25000 CE", "date": null}),
            ),
            (
                "bhavctl deltas --underlying NIFTY",
                "Deltas",
                json!({"contract": null, "underlying": "NIFTY", "date": null, "limit": 50}),
            ),
            (
                "bhavctl candles M&M --interval 3m --date 2026-01-30",
                "Candles",
                json!({"symbol": "M&M", "interval_minutes": 3, "date": "2026-01-30"}),
            ),
            ("bhavctl coverage 2026-01-30 --json", "Coverage", json!({"date": "2026-01-30"})),
            ("bhavctl watch", "Watch", json!({"underlying": null})),
            ("bhavctl replay verify 2026-01-30", "ReplayVerify", json!({"date": "2026-01-30"})),
        ] {
            let request = request(line).expect(line);
            assert_eq!((request.verb().name(), request.parameters()), (verb, parameters), "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_explained() {
        for (line, part) in [
            ("bhavctl coverage yesterday", "YYYY-MM-DD"),
            ("bhavctl chain NIFTY --at noon", "HH:MM"),
            ("bhavctl oi NIFTY 25000", "UNDERLYING YYYY-MM-DD STRIKE CE|PE"),
            ("bhavctl deltas --limit 0", "1..=10000"),
            ("bhavctl candles NIFTY --interval 7m", "3m, 5m and day"),
            ("bhavctl deltas --underlying A --contract B", "cannot be used with"),
        ] {
            let error = request(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
        let error = Arguments::try_parse_from(["bhavctl"]).expect_err("nothing asked");
        assert_eq!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }
}
