//! Starts and stops a simulator: its market, its servers, its threads.

use super::{
    angel_one::AngelOneServer,
    faults::{FaultSwitch, Faults},
    http_server,
    irregularities::Irregularities,
    lots::LotOverrides,
    market::SimMarket,
    nse::{self, BodiesError, Chains, NseDelay, NseServer, RecordedBodies, UnlistedSide},
    playback::{Pace, Playback, Progress},
    recording::{LoadReport, RecordingError, load_recording},
    synthetic::SyntheticMarket,
};
use crate::{
    clock::{Clock, Simulation, real_now},
    market::{Provider, Timestamp, with_providers},
};
use serde_json::Value;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread,
};
use tokio::{net::TcpListener, sync::watch};

/// Where the played market comes from.
#[derive(Clone, Debug)]
pub enum MarketSource {
    /// CSV, see docs/recording-format.md.
    Recording {
        path: PathBuf,
        strict: bool,
    },
    Synthetic(SyntheticMarket),
    /// Nothing to play: only NSE's recorded bodies are served.
    BodiesOnly,
}

/// What the one account of the simulated broker logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub client_code: String,
    pub mpin: String,
    /// Base32, as authenticator apps take it.
    pub totp_secret: String,
    pub api_key: String,
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials {
            client_code: "SIM001".to_owned(),
            mpin: "1234".to_owned(),
            totp_secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
            api_key: "simulated-key".to_owned(),
        }
    }
}

/// Angel One's side.
#[derive(Clone, Debug)]
pub struct AngelOneOptions {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub credentials: Credentials,
    /// Sockets a client may have; one more is closed.
    pub sockets_max: usize,
    /// Tokens a socket may subscribe to; one more is refused with E1002.
    pub tokens_per_socket: usize,
    /// Whether requests above the published rates are refused.
    pub limit_requests: bool,
    /// The longest that a subscribed token goes without a packet in session hours, in market time; 0 sends events only.
    /// A play without clock sends events only as well.
    pub book_interval_s: u32,
}

impl Default for AngelOneOptions {
    fn default() -> AngelOneOptions {
        AngelOneOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            credentials: Credentials::default(),
            sockets_max: 3,
            tokens_per_socket: 1_000,
            limit_requests: true,
            book_interval_s: 45,
        }
    }
}

/// NSE's side.
#[derive(Clone, Debug)]
pub struct NseOptions {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directories of recorded bodies that are served byte for byte in place of the market's.
    pub bodies: Vec<PathBuf>,
    /// How long after its stamp the site shows a chain of the market.
    pub delay: NseDelay,
    /// How v3 writes the side of a strike that is not listed.
    pub unlisted_side: UnlistedSide,
}

impl Default for NseOptions {
    fn default() -> NseOptions {
        NseOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            bodies: Vec::new(),
            delay: NseDelay::default(),
            unlisted_side: UnlistedSide::default(),
        }
    }
}

/// Everything a simulator can be told.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    pub market: MarketSource,
    /// `None` leaves Angel One out.
    pub angel_one: Option<AngelOneOptions>,
    /// `None` leaves NSE out.
    pub nse: Option<NseOptions>,
    /// Simulated seconds in a real one; greater than zero.
    pub speed: f64,
    /// What the simulated clock shows first; `None` is 15 minutes before the first capture.
    pub start: Option<Timestamp>,
    pub pace: Pace,
    /// How often the events are played; 0 is endless.
    pub passes: u64,
    pub lots: LotOverrides,
    pub irregularities: Irregularities,
    pub worker_threads: usize,
}

impl SimulatorOptions {
    /// Both providers on free ports, real time, one pass.
    pub fn new(market: MarketSource) -> SimulatorOptions {
        SimulatorOptions {
            market,
            angel_one: Some(AngelOneOptions::default()),
            nse: Some(NseOptions::default()),
            speed: 1.0,
            start: None,
            pace: Pace::Clocked,
            passes: 1,
            lots: LotOverrides::new(),
            irregularities: Irregularities::default(),
            worker_threads: 1,
        }
    }

    /// The same of one provider alone.
    pub fn of_provider(market: MarketSource, provider: Provider) -> SimulatorOptions {
        let mut options = SimulatorOptions { angel_one: None, nse: None, ..SimulatorOptions::new(market) };
        macro_rules! simulate {
            ($($variant:ident $name:ident $code:literal),*) => {
                match provider {
                    $(Provider::$variant => options.$name = Some(Default::default())),*
                }
            };
        }
        with_providers!(simulate);
        options
    }
}

/// The simulator cannot start. The program ends with the message; [`SimulatorError::is_usage`] tells which exit code.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Bodies(#[from] BodiesError),
    #[error("the TOTP secret is not base32 of at least 128 bits: {reason}")]
    TotpSecret { reason: String },
    #[error("speed {speed} is not a positive number")]
    Speed { speed: f64 },
    #[error("there is nothing to play: give a recording, a synthetic market, or directories of NSE bodies")]
    NothingToPlay,
    #[error("{address} is not a loopback address; the simulator serves this machine only")]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the simulator's threads: {source}")]
    Threads { source: io::Error },
}

impl SimulatorError {
    /// Whether what was asked for is at fault, rather than the machine.
    pub fn is_usage(&self) -> bool {
        !matches!(self, SimulatorError::Listen { .. } | SimulatorError::Threads { .. })
    }
}

/// Where the servers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressesInUse {
    pub angel_one: Option<SocketAddr>,
    pub nse: Option<SocketAddr>,
}

/// Namespace for [`Simulator::start`].
pub struct Simulator;

impl Simulator {
    /// Loads the market, binds the addresses and starts to play. Blocks while it loads; everything afterwards happens on
    /// threads of its own.
    pub fn start(options: SimulatorOptions) -> Result<RunningSimulator, SimulatorError> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(SimulatorError::Speed { speed: options.speed });
        }
        let bodies = match &options.nse {
            Some(nse) if !nse.bodies.is_empty() => Some(RecordedBodies::load(&nse.bodies)?),
            _ => None,
        };
        let (market, load_report) = match &options.market {
            MarketSource::Recording { path, strict } => {
                load_recording(path, *strict, &options.lots, &options.irregularities)?
            }
            MarketSource::Synthetic(synthetic) => {
                let market = synthetic.generate_with(&options.lots, &options.irregularities);
                (market, LoadReport::default())
            }
            MarketSource::BodiesOnly => {
                let bodies = bodies.as_ref().ok_or(SimulatorError::NothingToPlay)?;
                (SimMarket::empty(bodies.first_capture()), LoadReport::default())
            }
        };
        let first_capture = match &bodies {
            Some(bodies) => bodies.first_capture().min(market.first_time()),
            None => market.first_time(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.worker_threads.max(1))
            .thread_name("bhavsim")
            .enable_all()
            .build()
            .map_err(|source| SimulatorError::Threads { source })?;
        let angel_listener =
            options.angel_one.as_ref().map(|angel| bind(&runtime, angel.listen)).transpose()?;
        let nse_listener = options.nse.as_ref().map(|nse| bind(&runtime, nse.listen)).transpose()?;
        // The clock starts last, so that loading takes nothing off the day.
        let start = options.start.unwrap_or_else(|| first_capture.plus_seconds(-15 * 60));
        let simulation = Simulation { start, real_start: real_now(), speed: options.speed };
        let playback =
            Playback::new(Arc::new(market), Clock::simulated(simulation), options.pace, options.passes);
        let faults = Arc::new(FaultSwitch::new());
        let (stop, stopped) = watch::channel(false);
        let mut addresses = AddressesInUse { angel_one: None, nse: None };
        if let (Some((listener, address)), Some(angel)) = (angel_listener, options.angel_one) {
            let irregularities = options.irregularities;
            let server = AngelOneServer::new(playback.clone(), faults.clone(), angel, irregularities)?;
            let routes = server.routes().merge(http_server::common_routes(playback.clone(), faults.clone()));
            runtime.spawn(http_server::serve(listener, routes, stopped.clone()));
            addresses.angel_one = Some(address);
        }
        if let (Some((listener, address)), Some(nse)) = (nse_listener, &options.nse) {
            let lot_file = nse::lot_file(playback.market(), bodies.as_ref(), &options.lots);
            let chains = Chains::new(options.irregularities, nse.delay, nse.unlisted_side);
            let server = NseServer::new(playback.clone(), faults.clone(), bodies, chains, lot_file);
            let routes = server.routes().merge(http_server::common_routes(playback.clone(), faults.clone()));
            runtime.spawn(http_server::serve(listener, routes, stopped.clone()));
            addresses.nse = Some(address);
        }
        runtime.spawn({
            let playback = playback.clone();
            async move { playback.run().await }
        });
        let keeper = keep(runtime, stopped)?;
        Ok(RunningSimulator {
            addresses,
            simulation,
            playback,
            faults,
            load_report,
            stop,
            keeper: Some(keeper),
        })
    }
}

fn bind(
    runtime: &tokio::runtime::Runtime,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    if !address.ip().is_loopback() {
        return Err(SimulatorError::NotLoopback { address });
    }
    let listen_error = |source| SimulatorError::Listen { address, source };
    // Bound without awaiting, so that a simulator can be started inside another runtime.
    let listener = std::net::TcpListener::bind(address).map_err(listen_error)?;
    listener.set_nonblocking(true).map_err(listen_error)?;
    let _inside = runtime.enter();
    let listener = TcpListener::from_std(listener).map_err(listen_error)?;
    let bound = listener.local_addr().map_err(listen_error)?;
    Ok((listener, bound))
}

/// A thread that owns the runtime until it is told to stop: a runtime must not be dropped inside another one.
fn keep(
    runtime: tokio::runtime::Runtime,
    mut stopped: watch::Receiver<bool>,
) -> Result<thread::JoinHandle<()>, SimulatorError> {
    let keep = move || {
        // The sender's end stops the simulator as well.
        let _ = runtime.block_on(stopped.wait_for(|stop| *stop)).is_ok();
        runtime.shutdown_background();
    };
    thread::Builder::new()
        .name("bhavsim-keeper".to_owned())
        .spawn(keep)
        .map_err(|source| SimulatorError::Threads { source })
}

/// A simulator that serves and plays until it is stopped or dropped.
pub struct RunningSimulator {
    addresses: AddressesInUse,
    simulation: Simulation,
    playback: Arc<Playback>,
    faults: Arc<FaultSwitch>,
    load_report: LoadReport,
    stop: watch::Sender<bool>,
    keeper: Option<thread::JoinHandle<()>>,
}

impl RunningSimulator {
    pub fn addresses(&self) -> AddressesInUse {
        self.addresses
    }

    /// Root of Angel One's REST calls, `http://127.0.0.1:PORT`. `None` if it is left out.
    pub fn angel_one_url(&self) -> Option<String> {
        self.addresses.angel_one.map(|address| format!("http://{address}"))
    }

    /// SmartStream V2. `None` if Angel One is left out.
    pub fn angel_one_stream_url(&self) -> Option<String> {
        self.addresses.angel_one.map(|address| format!("ws://{address}{}", super::angel_one::STREAM_PATH))
    }

    /// The instrument master. `None` if Angel One is left out.
    pub fn angel_one_master_url(&self) -> Option<String> {
        self.addresses.angel_one.map(|address| format!("http://{address}{}", super::angel_one::MASTER_PATH))
    }

    /// The website and the archive. `None` if NSE is left out.
    pub fn nse_url(&self) -> Option<String> {
        self.addresses.nse.map(|address| format!("http://{address}"))
    }

    /// The clock's definition: another process given the same three numbers shows the same time.
    pub fn simulation(&self) -> Simulation {
        self.simulation
    }

    pub fn clock(&self) -> Clock {
        self.playback.clock().clone()
    }

    pub fn market(&self) -> &Arc<SimMarket> {
        self.playback.market()
    }

    pub fn playback(&self) -> &Arc<Playback> {
        &self.playback
    }

    pub fn progress(&self) -> Progress {
        self.playback.progress()
    }

    /// What `GET /sim/clock` answers.
    pub fn clock_json(&self) -> Value {
        http_server::clock_json(&self.playback)
    }

    pub fn load_report(&self) -> &LoadReport {
        &self.load_report
    }

    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// Closes every connection and ends the threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(keeper) = self.keeper.take() {
            // The thread only waits and shuts the runtime down; it has nothing to report.
            let _ = keeper.join();
        }
    }
}

impl Drop for RunningSimulator {
    fn drop(&mut self) {
        self.end();
    }
}
