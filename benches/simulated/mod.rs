//! A daemon's configuration over a simulated Angel One, for benches that run the whole path.
#![allow(dead_code, reason = "each bench needs some of it")]

use bhavd::{
    config::Config,
    market::Timestamp,
    sim::{
        AngelOneOptions, MarketSource, Pace, RunningSimulator, Simulator, SimulatorOptions, SyntheticMarket,
    },
};
use std::{fs, path::Path};

/// As many contracts as a market has, on one socket.
pub const TOKENS_A_SOCKET: usize = 200_000;

/// The clock starts `clock_offset_s` after the market opens.
pub fn start(market: SyntheticMarket, pace: Pace, passes: u64, clock_offset_s: i64) -> RunningSimulator {
    let start = Timestamp::on(market.date, market.opens).plus_seconds(clock_offset_s);
    let angel_one = AngelOneOptions {
        tokens_per_socket: TOKENS_A_SOCKET,
        limit_requests: false,
        ..AngelOneOptions::default()
    };
    Simulator::start(SimulatorOptions {
        angel_one: Some(angel_one),
        nse: None,
        pace,
        passes,
        start: Some(start),
        ..SimulatorOptions::new(MarketSource::Synthetic(market))
    })
    .expect("a simulator")
}

/// `underlyings` shares with both sides of `strikes` strikes each.
pub fn shares(underlyings: usize, strikes: u32) -> SyntheticMarket {
    let names: Vec<String> = (0..underlyings).map(|number| format!("SHARE{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let defaults = SyntheticMarket::default();
    SyntheticMarket {
        underlyings: SyntheticMarket::name_underlyings(&names, defaults.date),
        strikes,
        ..defaults
    }
}

/// Writes credentials into `directory` and returns the text of a configuration that keeps everything there.
pub fn configuration(simulator: &RunningSimulator, directory: &Path) -> String {
    let credentials = AngelOneOptions::default().credentials;
    let secrets = directory.join("credentials");
    fs::create_dir(&secrets).expect("a directory");
    for (name, value) in [
        ("client_code", &credentials.client_code),
        ("api_key", &credentials.api_key),
        ("mpin", &credentials.mpin),
        ("totp_secret", &credentials.totp_secret),
    ] {
        fs::write(secrets.join(format!("angel_one.{name}")), value).expect("is written");
    }
    let simulation = simulator.simulation();
    let place = directory.display();
    format!(
        "store.url = \"sqlite:{place}/bhavd.sqlite\"\n\
         spool.dir = \"{place}/spool\"\n\
         control.socket = \"{place}/control.sock\"\n\
         credentials.dir = \"{place}/credentials\"\n\
         watch = [{{ underlying = \"*\", expiries = 0 }}]\n\
         log.level = \"warn\"\n\
         [feeds.angel_one]\n\
         enabled = true\n\
         rest_url = \"{}\"\n\
         stream_url = \"{}\"\n\
         master_url = \"{}\"\n\
         [clock]\n\
         start = \"{}\"\n\
         real_start = \"{}\"\n\
         speed = {:.1}\n",
        simulator.angel_one_url().expect("Angel One"),
        simulator.angel_one_stream_url().expect("Angel One"),
        simulator.angel_one_master_url().expect("Angel One"),
        simulation.start.to_utc().to_rfc3339(),
        simulation.real_start.to_utc().to_rfc3339(),
        simulation.speed,
    )
}

/// Reads such a text, and gives one socket room for everything: a file is held to what the broker allows.
pub fn read_configuration(text: &str) -> Config {
    let mut config = Config::parse(text, "the bench's configuration", None).expect("a configuration");
    let angel_one = &mut config.feeds.angel_one;
    (angel_one.sockets_max, angel_one.tokens_per_socket) = (1, TOKENS_A_SOCKET);
    config
}
