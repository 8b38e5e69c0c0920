//! The website's paths.

use super::{NseServer, bodies::Generation, edits};
use crate::{
    market::{InstrumentKind, Price, TradingDate, is_index_underlying},
    sim::{faults::ChainFault, names::ChainName},
    wire::nse::{ContractInfo, MarketState, MarketStatus, encode_contracts, encode_status, parse_expiry},
};
use axum::{
    Router,
    body::Bytes,
    extract::{Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

type Server = Arc<NseServer>;

const COOKIE: &str = "nsit";

#[derive(Deserialize)]
struct ChainQuery {
    #[serde(default)]
    symbol: String,
    /// `DD-Mon-YYYY`.
    expiry: Option<String>,
    /// `Indices` or `Equity`.
    r#type: Option<String>,
}

impl NseServer {
    pub fn routes(self: &Arc<Self>) -> Router {
        let api = Router::new()
            .route("/api/option-chain-contract-info", get(contract_info))
            .route("/api/option-chain-v3", get(chain_v3))
            .route("/api/option-chain-indices", get(chain_of_index))
            .route("/api/option-chain-equities", get(chain_of_share))
            .route("/api/marketStatus", get(market_status))
            .route("/api/underlying-information", get(underlying_information))
            .route_layer(middleware::from_fn_with_state(self.clone(), require_cookie));
        Router::new()
            .merge(api)
            .route("/", get(page))
            .route("/option-chain", get(page))
            .route("/content/fo/fo_mktlots.csv", get(lot_file))
            .route_layer(middleware::from_fn_with_state(self.clone(), apply_faults))
            .with_state(self.clone())
    }

    /// Cookies handed out before everything was dropped are not good any more.
    fn cookie_value(&self) -> String {
        format!("simulated-{}", self.faults.drop_count())
    }

    /// What is answered for a chain, faults included.
    fn answer(&self, symbol: &str, expiry: Option<TradingDate>) -> Response {
        let faults = self.faults.current();
        match faults.broken_chain(symbol, expiry) {
            Some(ChainFault::NotFound) => return StatusCode::NOT_FOUND.into_response(),
            Some(ChainFault::Html) => {
                return Html("<!DOCTYPE html><title>Resource not found</title>").into_response();
            }
            None => {}
        }
        let (served, served_expiry) = faults.served_chain(symbol, expiry);
        let served_expiry = match served == symbol {
            true => served_expiry,
            false => served_expiry.map(|wanted| self.listed_expiry(&served, wanted)),
        };
        let is_among = |names: &BTreeSet<ChainName>| names.iter().any(|name| name.matches(symbol, expiry));
        let Some(mut body) = self.chain(&served, served_expiry, is_among(&faults.stale_stamp)) else {
            return nothing();
        };
        if is_among(&faults.empty_chain) {
            body = edits::empty(body.to_vec()).into();
        }
        if !(faults.omit.is_empty() && faults.bad_leg.is_empty()) {
            body = edits::spoil(body.to_vec(), &faults.omit, &faults.bad_leg).into();
        }
        json_body(body)
    }

    fn chain(&self, symbol: &str, expiry: Option<TradingDate>, is_stale: bool) -> Option<Bytes> {
        if let Some(bodies) = self.bodies.as_ref().filter(|bodies| bodies.has(symbol)) {
            let generation = if expiry.is_some() { Generation::V3 } else { Generation::Older };
            return bodies.at(symbol, generation, expiry, self.now());
        }
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.body(&self.playback, symbol, expiry, is_stale)
    }

    /// An expiry if a symbol lists it, else the symbol's nearest one.
    fn listed_expiry(&self, symbol: &str, wanted: TradingDate) -> TradingDate {
        let expiries = listed_contracts(self, symbol).map(|info| info.expiries).unwrap_or_default();
        match expiries.contains(&wanted) {
            true => wanted,
            false => expiries.first().copied().unwrap_or(wanted),
        }
    }

    fn is_index(&self, symbol: &str) -> bool {
        let market = self.playback.market();
        let slots = market.underlyings().get(symbol);
        let listed =
            slots.and_then(|slots| slots.first()).map(|slot| market.contracts()[*slot as usize].on_index);
        listed.unwrap_or_else(|| is_index_underlying(symbol))
    }
}

fn json_body(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.into()).into_response()
}

/// What the website says when it has nothing to say.
fn nothing() -> Response {
    json_body("{}")
}

fn forbidden() -> Response {
    let page = "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1></BODY></HTML>";
    (StatusCode::FORBIDDEN, Html(page)).into_response()
}

async fn apply_faults(State(server): State<Server>, request: Request, next: Next) -> Response {
    let faults = server.faults.current();
    if faults.too_many_requests {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    if faults.mute {
        // The client's own timeout ends it.
        std::future::pending::<()>().await;
    }
    next.run(request).await
}

async fn require_cookie(State(server): State<Server>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = format!("{COOKIE}={}", server.cookie_value());
    let has_cookie = text(header::COOKIE).split(';').any(|cookie| cookie.trim() == wanted);
    let is_browser = text(header::USER_AGENT).starts_with("Mozilla/");
    if has_cookie && is_browser { next.run(request).await } else { forbidden() }
}

/// Hands out cookies to what looks like a browser.
async fn page(State(server): State<Server>, request: Request) -> Response {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    if server.faults.current().refuse_logins || !agent.is_some_and(|agent| agent.starts_with("Mozilla/")) {
        return forbidden();
    }
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly", server.cookie_value());
    let page = Html("<!DOCTYPE html><title>NSE, simulated</title>");
    ([(header::SET_COOKIE, cookie)], page).into_response()
}

async fn contract_info(State(server): State<Server>, Query(query): Query<ChainQuery>) -> Response {
    let bodies = server.bodies.as_ref().filter(|bodies| bodies.has(&query.symbol));
    let info = match bodies {
        Some(bodies) => bodies.contracts(&query.symbol, server.now()).map(|(expiries, strikes)| {
            ContractInfo { expiries: expiries.to_vec(), strikes: strikes.to_vec() }
        }),
        None => listed_contracts(&server, &query.symbol),
    };
    info.map_or_else(nothing, |info| json_body(encode_contracts(&info)))
}

fn listed_contracts(server: &NseServer, symbol: &str) -> Option<ContractInfo> {
    let market = server.playback.market();
    let mut expiries: BTreeSet<TradingDate> = BTreeSet::new();
    let mut strikes: BTreeSet<Price> = BTreeSet::new();
    for slot in market.underlyings().get(symbol)? {
        if let InstrumentKind::Option { expiry, strike, .. } =
            market.contracts()[*slot as usize].contract.kind
        {
            expiries.insert(expiry);
            strikes.insert(strike);
        }
    }
    let info =
        ContractInfo { expiries: expiries.into_iter().collect(), strikes: strikes.into_iter().collect() };
    (!info.expiries.is_empty()).then_some(info)
}

async fn chain_v3(State(server): State<Server>, Query(query): Query<ChainQuery>) -> Response {
    let wanted_kind = if server.is_index(&query.symbol) { "Indices" } else { "Equity" };
    let expiry = query.expiry.as_deref().and_then(parse_expiry);
    match (expiry, query.r#type.as_deref() == Some(wanted_kind)) {
        (Some(expiry), true) => server.answer(&query.symbol, Some(expiry)),
        _ => nothing(),
    }
}

async fn chain_of_index(State(server): State<Server>, Query(query): Query<ChainQuery>) -> Response {
    if server.is_index(&query.symbol) { server.answer(&query.symbol, None) } else { nothing() }
}

async fn chain_of_share(State(server): State<Server>, Query(query): Query<ChainQuery>) -> Response {
    if server.is_index(&query.symbol) { nothing() } else { server.answer(&query.symbol, None) }
}

/// Open in the hours of the day that is played, closed at any other time.
async fn market_status(State(server): State<Server>) -> Response {
    let now = server.playback.follow_clock();
    let first = server.bodies.as_ref().map(super::RecordedBodies::first_capture);
    let date = first.map_or(server.playback.market().date(), |first| first.date_ist());
    let is_open = server.playback.hours().of(date).contains(now);
    let market = server.playback.market();
    let nifty = market.slot_of(&"NIFTY".parse().expect("NIFTY is a contract"));
    let level = nifty.and_then(|slot| server.playback.state().slot(slot).last_price());
    let state = |name: &str, index: &str, last| MarketState {
        market: Some(name.to_owned()),
        status: if is_open { "Open" } else { "Closed" }.to_owned(),
        trade_date: Some(date),
        trade_time: is_open.then_some(now.to_ist().time()),
        index: index.to_owned(),
        last,
        message: format!("Market is {}", if is_open { "Open" } else { "Closed" }),
    };
    let markets = vec![state("Capital Market", "NIFTY 50", level), state("Currency", "", None)];
    json_body(encode_status(&MarketStatus { markets }))
}

/// Index and share underlyings; bhavd does not read it, people do.
async fn underlying_information(State(server): State<Server>) -> Response {
    let market = server.playback.market();
    let rows = |wanted_index: bool| -> Vec<_> {
        let symbols = market.underlyings().keys().filter(|symbol| server.is_index(symbol) == wanted_index);
        symbols
            .enumerate()
            .map(|(number, symbol)| json!({"symbol": &**symbol, "underlying": &**symbol, "serialNumber": number + 1}))
            .collect()
    };
    json_body(json!({"data": {"IndexList": rows(true), "UnderlyingList": rows(false)}}).to_string())
}

async fn lot_file(State(server): State<Server>) -> Response {
    ([(header::CONTENT_TYPE, "text/csv")], server.lot_file.clone()).into_response()
}
