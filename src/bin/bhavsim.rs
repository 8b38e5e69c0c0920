//! Brokers and exchange simulated on loopback: parses arguments, starts the simulator, waits for a signal.
//!
//! One line of JSON on stdout says, once everything listens, where, by which clock and with which credentials.
//! Everything for people goes to stderr.

use bhavd::{
    market::{Timestamp, TradingDate},
    sim::{
        AngelOneOptions, Credentials, Faults, Irregularities, LotOverrides, MarketSource, NseDelay,
        NseOptions, Pace, RunningSimulator, Simulator, SimulatorOptions, SyntheticMarket,
        SyntheticUnderlying, UnlistedSide,
    },
    wire::nse::LotMonth,
};
use chrono::NaiveDateTime;
use clap::{ArgGroup, Parser};
use serde_json::json;
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_INTERNAL: u8 = 70;

/// Simulates Angel One and NSE on loopback, speaking their real protocols.
#[derive(Parser, Debug)]
#[command(
    name = "bhavsim",
    version,
    about = "Simulates the providers: plays a recorded or made day as Angel One and NSE's website would show it"
)]
#[command(group = ArgGroup::new("source").required(true).multiple(true).args(["recording", "synthetic", "bodies"]))]
struct Arguments {
    /// Play a recorded day: CSV, or CSV in gzip (docs/recording-format.md)
    #[arg(long, value_name = "FILE", conflicts_with = "synthetic")]
    recording: Option<PathBuf>,
    /// Refuse the whole recording if any row is bad, instead of skipping the row
    #[arg(long)]
    strict: bool,
    /// Play a market made of a seed
    #[arg(long)]
    synthetic: bool,
    /// Seed of the synthetic market, of NSE's delays and of what --one-sided to --implied-volatility draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Synthetic underlyings: names separated by commas, or how many
    #[arg(long, default_value = "NIFTY,BANKNIFTY,MIDCPNIFTY")]
    underlyings: String,
    /// Synthetic strikes of each expiry
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    strikes: u32,
    /// Synthetic expiries of each underlying
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=52))]
    expiries: u32,
    /// Synthetic option events each second
    #[arg(long, value_name = "N", default_value_t = 100)]
    ticks_per_second: u32,
    /// Seconds of synthetic market, from 09:15 on
    #[arg(long, value_name = "SECONDS", default_value_t = 22_500, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: u32,
    /// Date of the synthetic market
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<TradingDate>,
    /// Serve NSE's recorded chain bodies byte for byte from a directory named SYMBOL_YYYY-MM-DD; may be repeated
    #[arg(long, value_name = "DIR")]
    bodies: Vec<PathBuf>,

    /// Where Angel One's REST and SmartStream listen; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen_angel: SocketAddr,
    /// Where NSE's website listens; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen_nse: SocketAddr,

    /// Simulated seconds in a real one
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// What the simulated clock shows first, IST [default: 15 minutes before the first capture]
    #[arg(long, value_name = "YYYY-MM-DD HH:MM:SS", value_parser = parse_start)]
    start: Option<Timestamp>,
    /// How often to play the events; 0 is endless
    #[arg(long, value_name = "N", default_value_t = 1)]
    passes: u64,
    /// Ignore the clock and send events as fast as the clients take them, for benchmarks
    #[arg(long)]
    as_fast_as_possible: bool,
    /// With --as-fast-as-possible: wait until so many tokens are subscribed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "as_fast_as_possible")]
    after_subscriptions: usize,
    /// Lot size of an underlying, in place of the known one, with @YYYY-MM only of contracts that expire in that month
    /// or later; may be repeated
    #[arg(long, value_name = "UNDERLYING[@YYYY-MM]=UNITS", value_parser = parse_lot)]
    lot: Vec<Lot>,
    /// The longest that a subscribed token goes without a packet in session hours, in seconds of the market: its book
    /// moves though nothing trades. Underlyings get a packet each second. 0 sends events only, and so does
    /// --as-fast-as-possible
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u32).range(..=3_600))]
    book_interval: u32,
    /// How long after its stamp NSE's website shows a chain, in seconds of the market; a range, such as 49-159, is drawn
    /// from for each chain and rebuild
    #[arg(long, value_name = "SECONDS", default_value_t)]
    nse_delay: NseDelay,

    /// Strikes of which only one side is listed
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    one_sided: u32,
    /// How NSE's v3 chains write a side that is not listed: absent, empty, or zeros
    #[arg(long, value_name = "FORM", default_value_t)]
    unlisted_side: UnlistedSide,
    /// Synthetic options whose open interest is no whole number of lots; for a recording name another --lot
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    fractional_lots: u32,
    /// Options whose bid or ask is withdrawn, each for two minutes at a time
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    withdrawn_quotes: u32,
    /// Options with a price for which NSE writes an implied volatility; for the others it writes 0
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    implied_volatility: u32,

    /// Faults from the start on, as POST /sim/faults takes them (docs/simulator.md)
    #[arg(long, value_name = "JSON", value_parser = parse_faults)]
    faults: Option<Faults>,

    /// Worker threads of the simulator
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// Client code of the simulated account
    #[arg(long, default_value = "SIM001")]
    client_code: String,
    /// MPIN of the simulated account
    #[arg(long, default_value = "1234")]
    mpin: String,
    /// TOTP secret of the simulated account, base32
    #[arg(long, value_name = "BASE32", default_value = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    totp_secret: String,
    /// API key of the simulated application
    #[arg(long, default_value = "simulated-key")]
    api_key: String,
    /// Sockets a client may have
    #[arg(long, value_name = "N", default_value_t = 3)]
    sockets_max: usize,
    /// Tokens a socket may subscribe to
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    tokens_per_socket: usize,
    /// Do not refuse requests above the broker's rates
    #[arg(long)]
    unlimited_requests: bool,
}

fn parse_start(text: &str) -> Result<Timestamp, String> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .map(Timestamp::from_ist)
        .map_err(|_| "write it as \"2026-01-30 09:00:00\"".to_owned())
}

fn parse_faults(text: &str) -> Result<Faults, serde_json::Error> {
    serde_json::from_str(text)
}

/// The value of `--lot`.
#[derive(Clone, Debug)]
struct Lot {
    underlying: String,
    from: Option<LotMonth>,
    units: u32,
}

fn parse_lot(text: &str) -> Result<Lot, String> {
    let month = |text: &str| {
        let first = TradingDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        Some(LotMonth::of(first))
    };
    let parsed = || {
        let (contracts, units) = text.split_once('=')?;
        let units = units.parse().ok().filter(|units| *units > 0)?;
        let (underlying, from) = match contracts.split_once('@') {
            Some((underlying, from)) => (underlying, Some(month(from)?)),
            None => (contracts, None),
        };
        (!underlying.is_empty()).then(|| Lot { underlying: underlying.to_owned(), from, units })
    };
    parsed().ok_or_else(|| "write it as NIFTY=75, or NIFTY@2026-03=75".to_owned())
}

impl Arguments {
    fn into_options(self) -> SimulatorOptions {
        let market = match (self.recording, self.synthetic) {
            (Some(path), _) => MarketSource::Recording { path, strict: self.strict },
            (None, true) => {
                let date = self.date.unwrap_or_else(|| SyntheticMarket::default().date);
                MarketSource::Synthetic(SyntheticMarket {
                    seed: self.seed,
                    date,
                    duration_s: self.duration,
                    ticks_per_second: self.ticks_per_second,
                    underlyings: name_underlyings(&self.underlyings, date),
                    strikes: self.strikes,
                    expiries: self.expiries,
                    ..SyntheticMarket::default()
                })
            }
            (None, false) => MarketSource::BodiesOnly,
        };
        let credentials = Credentials {
            client_code: self.client_code,
            mpin: self.mpin,
            totp_secret: self.totp_secret,
            api_key: self.api_key,
        };
        let angel_one = AngelOneOptions {
            listen: self.listen_angel,
            credentials,
            sockets_max: self.sockets_max,
            tokens_per_socket: self.tokens_per_socket,
            limit_requests: !self.unlimited_requests,
            book_interval_s: self.book_interval,
        };
        let nse = NseOptions {
            listen: self.listen_nse,
            bodies: self.bodies,
            delay: self.nse_delay,
            unlisted_side: self.unlisted_side,
        };
        let irregularities = Irregularities {
            seed: self.seed,
            one_sided_percent: self.one_sided,
            fractional_percent: self.fractional_lots,
            withdrawn_percent: self.withdrawn_quotes,
            implied_volatility_percent: self.implied_volatility,
        };
        let mut lots = LotOverrides::new();
        for lot in &self.lot {
            lots.set(&lot.underlying, lot.from, lot.units);
        }
        let pace = match self.as_fast_as_possible {
            true => Pace::AsFastAsPossible { after_subscriptions: self.after_subscriptions },
            false => Pace::Clocked,
        };
        SimulatorOptions {
            market,
            angel_one: Some(angel_one),
            nse: Some(nse),
            speed: self.speed,
            start: self.start,
            pace,
            passes: self.passes,
            lots,
            irregularities,
            worker_threads: self.threads,
        }
    }
}

/// Names as given, or as many as asked for: the known indices, then invented shares.
fn name_underlyings(text: &str, date: TradingDate) -> Vec<SyntheticUnderlying> {
    const INDICES: [&str; 5] = ["NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50"];
    let names: Vec<String> = match text.parse::<usize>() {
        Ok(count) => {
            let shares = (1..).map(|number| format!("SHARE{number:03}"));
            INDICES.into_iter().map(str::to_owned).chain(shares).take(count).collect()
        }
        Err(_) => text.split(',').map(|name| name.trim().to_uppercase()).filter(|n| !n.is_empty()).collect(),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    SyntheticMarket::name_underlyings(&names, date)
}

fn main() -> ExitCode {
    let _logging = bhavd::logging::start(log::LevelFilter::Warn);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if the terminal cannot show it.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let faults = arguments.faults.clone();
    let options = arguments.into_options();
    let credentials = options.angel_one.as_ref().map(|angel| angel.credentials.clone()).unwrap_or_default();
    let simulator = match Simulator::start(options) {
        Ok(simulator) => simulator,
        Err(error) => {
            eprintln!("bhavsim: {error}");
            return ExitCode::from(if error.is_usage() { EXIT_USAGE } else { EXIT_UNAVAILABLE });
        }
    };
    // Before anything is told of where it listens.
    faults.into_iter().for_each(|faults| simulator.set_faults(faults));
    report_skipped(&simulator);
    let line = ready_line(&simulator, &credentials);
    let mut stdout = std::io::stdout();
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        // Whoever started it does not listen any more.
        return ExitCode::SUCCESS;
    }
    let ended = wait_for_signal(&simulator);
    simulator.stop();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bhavsim: cannot wait for signals: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

fn report_skipped(simulator: &RunningSimulator) {
    let report = simulator.load_report();
    for row in &report.skipped_rows {
        eprintln!("bhavsim: skipped {row}");
    }
    if report.skipped > 0 {
        eprintln!("bhavsim: skipped {} of {} rows", report.skipped, report.rows);
    }
}

fn ready_line(simulator: &RunningSimulator, credentials: &Credentials) -> String {
    json!({
        "schema_version": 1,
        "angel_one": {
            "rest_url": simulator.angel_one_url(),
            "stream_url": simulator.angel_one_stream_url(),
            "master_url": simulator.angel_one_master_url(),
            "client_code": credentials.client_code,
            "mpin": credentials.mpin,
            "totp_secret": credentials.totp_secret,
            "api_key": credentials.api_key,
        },
        "nse": { "site_url": simulator.nse_url(), "archive_url": simulator.nse_url() },
        "clock": simulator.clock_json(),
        "market": {
            "contracts": simulator.market().contracts().len(),
            "first_event": simulator.market().first_time().to_string(),
            "last_event": simulator.market().last_time().to_string(),
        },
    })
    .to_string()
}

/// Shows the progress until SIGTERM or SIGINT.
fn wait_for_signal(simulator: &RunningSimulator) -> std::io::Result<()> {
    const BETWEEN_LINES: Duration = Duration::from_secs(10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut lines = tokio::time::interval(BETWEEN_LINES);
        let mut is_finished = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = lines.tick() => {}
            }
            let progress = simulator.progress();
            if !is_finished {
                let total = progress.total.map_or_else(|| "endless".to_owned(), |total| total.to_string());
                eprintln!(
                    "bhavsim: {}, {} of {total} events played",
                    simulator.clock().now(),
                    progress.played
                );
            }
            is_finished = progress.is_finished();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<SimulatorOptions, clap::Error> {
        let words = ["bhavsim", "--synthetic"].into_iter().chain(words.split_whitespace());
        Arguments::try_parse_from(words).map(Arguments::into_options)
    }

    #[test]
    fn a_plain_simulation_has_moving_books_and_nothing_irregular() {
        let options = options("").expect("options");
        assert_eq!(options.angel_one.expect("Angel One").book_interval_s, 45);
        let nse = options.nse.expect("NSE");
        assert_eq!((nse.delay, nse.unlisted_side), (NseDelay::default(), UnlistedSide::Absent));
        assert_eq!(options.irregularities, Irregularities { seed: 1, ..Irregularities::default() });
        assert_eq!(options.lots, LotOverrides::new());
    }

    #[test]
    fn faults_are_read_as_the_running_simulator_takes_them() {
        let parse = |faults: &str| Arguments::try_parse_from(["bhavsim", "--synthetic", "--faults", faults]);
        let arguments = parse(r#"{"mute_stream":true,"refused_tokens":["NSE:99926000"]}"#).expect("faults");
        let faults = arguments.faults.expect("faults");
        assert!(faults.mute_stream && faults.refused_tokens.len() == 1);
        for wrong in ["", "{", r#"{"explode":true}"#, r#"{"refused_tokens":["NIFTY"]}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let words = "--seed 7 --book-interval 0 --nse-delay 49-159 --one-sided 10 --unlisted-side zeros --lot NIFTY=75 \
                     --lot NIFTY@2026-03=65 --fractional-lots 4 --withdrawn-quotes 9 --implied-volatility 54";
        let options = options(words).expect("options");
        assert_eq!(options.angel_one.expect("Angel One").book_interval_s, 0);
        let nse = options.nse.expect("NSE");
        assert_eq!((nse.delay.to_string(), nse.unlisted_side), ("49-159".to_owned(), UnlistedSide::Zeros));
        let wanted = Irregularities {
            seed: 7,
            one_sided_percent: 10,
            fractional_percent: 4,
            withdrawn_percent: 9,
            implied_volatility_percent: 54,
        };
        assert_eq!(options.irregularities, wanted);
        let lot = |expiry: &str| options.lots.get("NIFTY", expiry.parse().expect("a date"));
        assert_eq!((lot("2026-02-24"), lot("2026-03-03")), (Some(75), Some(65)));
        for wrong in [
            "--book-interval -1",
            "--nse-delay 159-49",
            "--one-sided 101",
            "--unlisted-side none",
            "--lot NIFTY",
            "--lot NIFTY=0",
            "--lot NIFTY@2026=75",
            "--lot @2026-03=75",
        ] {
            assert!(super::tests::options(wrong).is_err(), "{wrong}");
        }
    }
}
