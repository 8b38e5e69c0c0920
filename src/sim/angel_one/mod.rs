//! Angel One SmartAPI as a server: REST calls, instrument master and SmartStream V2.
//!
//! One account. Sessions, limits and one-time passwords follow the simulated clock; values are what has been played.
//! Bodies and packets come from `wire::angel_one`, so that what the feed reads is what this writes.
//!
//! Left out: orders, portfolio, searchScrip, getLtpData and the other market-data calls.

mod books;
mod greeks;
mod packet;
mod request_limits;
mod rest;
mod sessions;
mod stream;
mod subscriptions;
mod websocket;

pub use packet::packet_of;

use super::{
    faults::FaultSwitch,
    irregularities::Irregularities,
    playback::Playback,
    simulator::{AngelOneOptions, SimulatorError},
    state::SlotState,
};
use crate::{
    market::{Listing, Provider, Timestamp},
    wire::angel_one::encode_master,
};
use axum::body::Bytes;
use books::BookSchedule;
use packet::Moment;
use request_limits::RequestLimits;
use serde_json::{Value, json};
use sessions::Sessions;
use std::sync::{Arc, Mutex, atomic::AtomicUsize};
use totp_rs::{Builder, Secret, Totp};

/// SmartStream V2.
pub const STREAM_PATH: &str = "/smart-stream";
/// The instrument master; no login needed.
pub const MASTER_PATH: &str = "/OpenAPI_File/files/OpenAPIScripMaster.json";

pub(super) struct AngelOneServer {
    playback: Arc<Playback>,
    faults: Arc<FaultSwitch>,
    options: AngelOneOptions,
    irregularities: Irregularities,
    /// `None` if books do not move.
    books: Option<BookSchedule>,
    totp: Totp,
    sessions: Mutex<Sessions>,
    limits: Mutex<RequestLimits>,
    open_sockets: AtomicUsize,
    master: Bytes,
}

impl AngelOneServer {
    pub fn new(
        playback: Arc<Playback>,
        faults: Arc<FaultSwitch>,
        options: AngelOneOptions,
        irregularities: Irregularities,
    ) -> Result<Arc<AngelOneServer>, SimulatorError> {
        let totp_error = |reason: String| SimulatorError::TotpSecret { reason };
        let secret = Secret::try_from_base32(&options.credentials.totp_secret)
            .map_err(|error| totp_error(error.to_string()))?;
        // One step either side, as the broker accepts.
        let totp = Builder::new().with_secret(secret).with_skew(1).build();
        let totp = totp.map_err(|error| totp_error(error.to_string()))?;
        let master = master_of(&playback);
        let books = BookSchedule::new(options.book_interval_s).filter(|_| playback.is_clocked());
        Ok(Arc::new(AngelOneServer {
            playback,
            faults,
            options,
            irregularities,
            books,
            totp,
            sessions: Mutex::default(),
            limits: Mutex::default(),
            open_sockets: AtomicUsize::new(0),
            master,
        }))
    }

    /// A contract at its last change.
    #[inline]
    fn at_change(&self, slot: usize, state: &SlotState) -> Moment {
        match self.irregularities.withdrawn_percent {
            0 => Moment::of_change(state),
            _ => self.with_withdrawn(slot, Moment::of_change(state)),
        }
    }

    /// A contract at its last change, or at the movement of its book since.
    fn at_movement(&self, slot: usize, state: &SlotState, now: Timestamp) -> Moment {
        let listed = &self.playback.market().contracts()[slot];
        let hours = self.playback.hours();
        let newest = |session| self.books?.newest(listed, &session, now);
        let moved_s = hours.played_on(now.date_ist()).and_then(newest);
        // Before the open, and on days that are not played, books stand as they closed.
        let moved_s = moved_s.or_else(|| newest(hours.of(state.event_time().date_ist())));
        match moved_s.filter(|moved_s| moved_s * 1_000 > state.time_ms) {
            None => self.at_change(slot, state),
            Some(book) => {
                let moment = Moment { stamp_ms: book * 1_000, book, withdrawn: Default::default() };
                self.with_withdrawn(slot, moment)
            }
        }
    }

    /// A contract in a packet that is stamped with the clock, not with the contract's last change.
    fn shown_at(&self, slot: usize, state: &SlotState, stamp: Timestamp) -> Moment {
        let moment = Moment { stamp_ms: stamp.as_ms(), ..self.at_movement(slot, state, stamp) };
        self.with_withdrawn(slot, moment)
    }

    fn with_withdrawn(&self, slot: usize, moment: Moment) -> Moment {
        let token = self.playback.market().contracts()[slot].token;
        let window = self.irregularities.window(Timestamp::from_us(moment.stamp_ms * 1_000));
        Moment { withdrawn: self.irregularities.withdrawn(token, window), ..moment }
    }
}

/// All contracts of the market, and a few rows that a reader must leave out: the exchange's test instruments, currency
/// and commodity.
fn master_of(playback: &Playback) -> Bytes {
    let listings: Vec<Listing> = playback
        .market()
        .contracts()
        .iter()
        .map(|listed| Listing {
            provider: Provider::AngelOne,
            token: Some(listed.token),
            symbol: listed.symbol.clone(),
            contract: listed.contract.clone(),
            lot_size: listed.lot_size,
            tick_size: listed.tick_size,
        })
        .collect();
    let body = encode_master(&listings);
    let mut rows: Vec<Value> = serde_json::from_slice(&body).expect("the master is an array of objects");
    rows.extend(rows_to_leave_out());
    serde_json::to_vec(&rows).expect("JSON values can be written").into()
}

fn rows_to_leave_out() -> [Value; 4] {
    let row = |token: &str,
               symbol: &str,
               name: &str,
               expiry: &str,
               strike: &str,
               kind: &str,
               segment: &str| {
        json!({
            "token": token, "symbol": symbol, "name": name, "expiry": expiry, "strike": strike, "lotsize": "50",
            "instrumenttype": kind, "exch_seg": segment, "tick_size": "5.000000"
        })
    };
    [
        row("36716", "111NSETEST27NOV36FUT", "111NSETEST", "27NOV2036", "-1.000000", "FUTSTK", "NFO"),
        row("36717", "011NSETEST27NOV36100CE", "011NSETEST", "27NOV2036", "10000.000000", "OPTSTK", "NFO"),
        row("1377", "USDINR26FEB90CE", "USDINR", "26FEB2026", "900000000.000000", "OPTCUR", "CDS"),
        row("429000", "CRUDEOIL19FEB265500CE", "CRUDEOIL", "19FEB2026", "550000.000000", "OPTFUT", "MCX"),
    ]
}
