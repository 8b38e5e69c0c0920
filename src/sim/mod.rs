//! Simulated brokers, exchange and market on loopback, speaking the real wire protocols.
//!
//! [`Simulator::start`] plays a [`SimMarket`] (a recording or a seeded synthetic day) over a simulated clock and serves
//! it as Angel One's REST and SmartStream V2 and as NSE's website. It runs on threads and a tokio runtime of its own, so
//! that it shares nothing with a daemon in the same process.
//!
//! Invariants: every played event reaches every subscribed socket, in order, at any speed; nothing is buffered per
//! connection (each socket reads the shared list of events at its own position); the same market played twice gives
//! the same values. Everything listens on loopback only.
//!
//! Left out: orders, margins, other brokers, TLS.
#![expect(
    clippy::disallowed_methods,
    reason = "a broker of its own, outside any tree: it shares nothing with a daemon"
)]

pub mod angel_one;
pub mod black76;
mod candles;
mod draw;
mod faults;
mod history;
mod hours;
mod http_server;
mod irregularities;
mod lots;
mod market;
mod names;
mod natural;
pub mod nse;
mod playback;
mod recording;
mod simulator;
mod state;
mod synthetic;

pub use candles::candles;
pub use faults::{ChainFault, Faults};
pub use irregularities::Irregularities;
pub use lots::{LotOverrides, lot_size};
pub use market::{SimContract, SimEvent, SimMarket};
pub use names::{ChainName, ContractName, NameError, TokenName};
pub use natural::NaturalMarket;
pub use nse::{NseDelay, UnlistedSide};
pub use playback::{Cursor, Pace, Playback, Progress, Repeat};
pub use recording::{LoadReport, RecordingError, SkippedRow, load_recording};
pub use simulator::{
    AddressesInUse, AngelOneOptions, Credentials, MarketSource, NseOptions, RunningSimulator, Simulator,
    SimulatorError, SimulatorOptions,
};
pub use state::{MarketState, SlotState};
pub use synthetic::{SyntheticMarket, SyntheticUnderlying};
