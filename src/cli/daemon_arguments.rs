//! bhavd's own command line.

use crate::{config::StoreSettings, market::Provider};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Records the Indian options market: open-interest buckets, deltas and candles.
#[derive(Debug, Parser)]
#[command(name = "bhavd", version, arg_required_else_help = true)]
pub struct DaemonArguments {
    #[command(subcommand)]
    pub command: DaemonCommand,
}

#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Run the daemon in the foreground, as a service does.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and say everything that is wrong with it.
    CheckConfig {
        #[arg(value_name = "FILE")]
        config: PathBuf,
    },
    /// Play a day of the market through a simulated provider and record it, in a directory of its own.
    Demo(DemoArguments),
}

#[derive(Debug, Args)]
pub struct DemoArguments {
    /// A recorded day (CSV, plain or .gz, see docs/recording-format.md); a synthetic one if not given.
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Refuse a recording with a row that cannot be read, instead of leaving the row out.
    #[arg(long, requires = "recording")]
    pub strict: bool,
    /// Whose protocol is spoken between simulator and daemon: angel_one or nse.
    #[arg(long, value_name = "NAME", default_value = "angel_one")]
    pub provider: Provider,
    /// Simulated seconds in a real one.
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Where store, log and control socket are kept; must be empty or not exist. A directory under the system's
    /// temporary one if not given.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// postgres://… or sqlite:PATH; DIR/bhavd.sqlite if not given.
    #[arg(long, value_name = "URL", value_parser = parse_store)]
    pub store: Option<String>,
    /// End once the day has been played; else Ctrl-C ends the demo.
    #[arg(long)]
    pub exit_at_close: bool,
    /// The seed of the synthetic market.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "recording")]
    pub seed: u64,
    /// Print the summary as one JSON object, and no progress.
    #[arg(long)]
    pub json: bool,
}

fn parse_store(text: &str) -> Result<String, String> {
    match StoreSettings::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(allowed) => Err(format!("allowed is {allowed}")),
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    const ALLOWED: std::ops::RangeInclusive<f64> = 0.1..=100_000.0;
    match text.parse::<f64>() {
        Ok(speed) if ALLOWED.contains(&speed) => Ok(speed),
        _ => Err(format!("allowed is a number from {} to {}", ALLOWED.start(), ALLOWED.end())),
    }
}
