//! The REST calls, with the envelopes and refusals of the real service and its gateway.

use super::{
    AngelOneServer, MASTER_PATH, STREAM_PATH, greeks, packet,
    sessions::{TokenFault, TokenKind},
    stream,
};
use crate::{
    market::Timestamp,
    wire::angel_one::{
        CANDLES_PATH, CandleRequest, GREEKS_PATH, GreekRequest, LOGIN_PATH, LoginRequest, QUOTE_PATH,
        QuoteRequest, REFRESH_PATH, RefreshRequest, Refusal, Unfetched, WireError, encode_candles,
        encode_full_quotes, encode_greeks, exchange_of,
    },
};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use std::sync::{Arc, PoisonError};

/// GET; the account's profile.
const PROFILE_PATH: &str = "/rest/secure/angelbroking/user/v1/getProfile";
/// POST; ends the session.
const LOGOUT_PATH: &str = "/rest/secure/angelbroking/user/v1/logout";

type Server = Arc<AngelOneServer>;

impl AngelOneServer {
    pub fn routes(self: &Arc<Self>) -> Router {
        let quote_with_slash = format!("{QUOTE_PATH}/");
        let secured = Router::new()
            .route(PROFILE_PATH, get(profile))
            .route(LOGOUT_PATH, post(logout))
            .route(QUOTE_PATH, post(quote))
            .route(&quote_with_slash, post(quote))
            .route(CANDLES_PATH, post(candles))
            .route(GREEKS_PATH, post(option_greeks))
            .route_layer(middleware::from_fn_with_state(self.clone(), require_session));
        Router::new()
            .merge(secured)
            .route(LOGIN_PATH, post(login))
            .route(REFRESH_PATH, post(refresh))
            .route(MASTER_PATH, get(master))
            .route(STREAM_PATH, get(stream::handshake))
            .route_layer(middleware::from_fn_with_state(self.clone(), limit_requests))
            .with_state(self.clone())
    }

    fn now(&self) -> Timestamp {
        self.playback.clock().now()
    }

    fn is_within_limits(&self, path: &str) -> bool {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        !self.options.limit_requests || limits.accept(path.trim_end_matches('/'), self.now())
    }

    /// Whether a token is good at this moment.
    pub(super) fn check_token(&self, token: &str, kind: TokenKind) -> Result<(), TokenFault> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.follow_drops(self.faults.drop_count());
        sessions.check(token, kind, self.now())
    }

    fn open_session(&self) -> Vec<u8> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.follow_drops(self.faults.drop_count());
        sessions.open(&self.options.credentials.client_code, self.now()).encode()
    }
}

fn json_body(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// The service and its gateway answer refusals with status 200; clients must look into the body.
fn refuse(refusal: &Refusal) -> Response {
    json_body(refusal.encode())
}

/// What cannot be read is answered with the generic error.
fn malformed(error: &WireError) -> Response {
    refuse(&Refusal::service("AB1004", &format!("Something went wrong, please try later: {error}")))
}

/// The throttling gateway speaks plain text.
async fn limit_requests(State(server): State<Server>, request: Request, next: Next) -> Response {
    if server.faults.current().too_many_requests {
        return (StatusCode::TOO_MANY_REQUESTS, "Too many requests").into_response();
    }
    if !server.is_within_limits(request.uri().path()) {
        let text = "Access denied because of exceeding access rate";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

async fn require_session(State(server): State<Server>, request: Request, next: Next) -> Response {
    match check_session(&server, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(&refusal),
    }
}

fn check_session(server: &AngelOneServer, headers: &HeaderMap) -> Result<(), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or_else(|| Refusal::gateway("AG8003", "Token missing"))?;
    if header("x-privatekey") != Some(server.options.credentials.api_key.as_str()) {
        return Err(Refusal::gateway("AG8004", "Invalid API Key"));
    }
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    server.check_token(token, TokenKind::Session).map_err(|fault| match fault {
        TokenFault::Unknown => Refusal::gateway("AG8001", "Invalid Token"),
        TokenFault::Expired => Refusal::gateway("AG8002", "Token Expired"),
    })
}

async fn login(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match LoginRequest::decode(&body) {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    let credentials = &server.options.credentials;
    let api_key = headers.get("x-privatekey").and_then(|value| value.to_str().ok());
    if api_key != Some(credentials.api_key.as_str()) {
        return refuse(&Refusal::gateway("AG8004", "Invalid API Key"));
    }
    let is_known = request.client_code == credentials.client_code && request.password == credentials.mpin;
    if server.faults.current().refuse_logins || !is_known {
        return refuse(&Refusal::service("AB1000", "Invalid Email Or Password"));
    }
    let seconds = u64::try_from(server.now().as_us() / 1_000_000).unwrap_or(0);
    if server.totp.check(&request.totp, seconds).is_none() {
        return refuse(&Refusal::service("AB1050", "Invalid totp"));
    }
    json_body(server.open_session())
}

async fn refresh(State(server): State<Server>, body: Bytes) -> Response {
    let request = match RefreshRequest::decode(&body) {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    let checked = server.check_token(&request.refresh_token, TokenKind::Refresh);
    match checked {
        Ok(()) if server.faults.current().refuse_logins => {
            refuse(&Refusal::service("AB8050", "Invalid Refresh Token"))
        }
        Ok(()) => json_body(server.open_session()),
        Err(TokenFault::Unknown) => refuse(&Refusal::service("AB8050", "Invalid Refresh Token")),
        Err(TokenFault::Expired) => refuse(&Refusal::service("AB8051", "Refresh Token Expired")),
    }
}

async fn profile(State(server): State<Server>) -> Response {
    let data = json!({
        "clientcode": server.options.credentials.client_code, "name": "SIMULATED CLIENT", "email": "",
        "mobileno": "", "exchanges": ["nse_cm", "nse_fo"], "products": [], "lastlogintime": "", "brokerid": ""
    });
    let reply = json!({"status": true, "message": "SUCCESS", "errorcode": "", "data": data});
    json_body(reply.to_string())
}

async fn logout(State(server): State<Server>) -> Response {
    server.sessions.lock().unwrap_or_else(PoisonError::into_inner).close_all();
    json_body(json!({"status": true, "message": "SUCCESS", "errorcode": "", "data": ""}).to_string())
}

async fn master(State(server): State<Server>) -> Response {
    json_body(server.master.clone())
}

async fn quote(State(server): State<Server>, body: Bytes) -> Response {
    let request = match QuoteRequest::decode(&body) {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    let market = server.playback.market();
    let (faults, now) = (server.faults.current(), server.playback.follow_clock());
    let (mut fetched, mut unfetched) = (Vec::new(), Vec::new());
    {
        let state = server.playback.state();
        for token in request.tokens {
            let slot = market.slot_of_token(token);
            let missing = |code: &str, message: &str| Unfetched {
                exchange: exchange_of(token.segment).to_owned(),
                symbol_token: token.token.to_string(),
                message: message.to_owned(),
                error_code: code.to_owned(),
            };
            match slot {
                None => unfetched.push(missing("AB4006", "Invalid symboltoken")),
                Some(slot) if !state.slot(slot).is_known() || faults.withholds_quote(token) => {
                    unfetched.push(missing("AB9019", "No data available"));
                }
                Some(slot) => {
                    // Another one's row where a fault says so, if it has one.
                    let quoted = market.slot_of_token(faults.quoted(token));
                    let slot = quoted.filter(|slot| state.slot(*slot).is_known()).unwrap_or(slot);
                    let values = state.slot(slot);
                    let moment = server.at_movement(slot, values, now);
                    fetched.push(packet::full_quote(market, slot, values, moment));
                }
            }
        }
    }
    json_body(encode_full_quotes(&fetched, &unfetched))
}

async fn candles(State(server): State<Server>, body: Bytes) -> Response {
    // One-minute candles are served to clients in general; bhavd has no name for them.
    const ONE_MINUTE: &[u8] = b"\"ONE_MINUTE\"";
    let one_minute = body.windows(ONE_MINUTE.len()).position(|window| window == ONE_MINUTE);
    let decoded = match one_minute {
        None => CandleRequest::decode(&body),
        Some(start) => {
            let rest = &body[start + ONE_MINUTE.len()..];
            CandleRequest::decode(&[&body[..start], b"\"FIVE_MINUTE\"", rest].concat())
        }
    };
    let request = match decoded {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    let Some(slot) = server.playback.market().slot_of_token(request.token) else {
        return refuse(&Refusal::service("AB4006", "Invalid symboltoken"));
    };
    let minutes = if one_minute.is_some() { 1 } else { request.interval.minutes() };
    let bars = server.playback.candles(slot, minutes, request.from, request.to);
    json_body(encode_candles(&bars))
}

async fn option_greeks(State(server): State<Server>, body: Bytes) -> Response {
    let request = match GreekRequest::decode(&body) {
        Ok(request) => request,
        Err(error) => return malformed(&error),
    };
    let rows = {
        let state = server.playback.state();
        greeks::rows(server.playback.market(), &state, &request.name, request.expiry, server.now())
    };
    match rows.is_empty() {
        true => refuse(&Refusal::service("AB9019", "No Data Available")),
        false => json_body(encode_greeks(&rows)),
    }
}
