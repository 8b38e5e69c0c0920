//! HTTP/1.1 on loopback for the simulated providers, with upgrades that give back the plain TCP stream.

use super::{faults::FaultSwitch, playback::Playback};
use crate::market::{Timestamp, ist};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Accepts connections until `stop` says so, then drops all of them.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // Either told to stop or the simulator is gone.
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, or the peer was gone already: others may still get through.
                log::warn!("the simulator could not accept a connection: {error}");
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        // Without it small replies wait for acknowledgements; failing to set it only costs time.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let served =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            if let Err(error) = served.await {
                log::debug!("a connection to the simulator ended: {error}");
            }
        });
    }
}

#[derive(Clone)]
struct Common {
    playback: Arc<Playback>,
    faults: Arc<FaultSwitch>,
}

/// What both servers offer beside the provider's own paths.
pub(super) fn common_routes(playback: Arc<Playback>, faults: Arc<FaultSwitch>) -> Router {
    Router::new()
        .route("/sim/clock", get(clock))
        .route("/sim/faults", post(change_faults).get(current_faults))
        .with_state(Common { playback, faults })
}

/// Times are RFC 3339 in IST; those ending in `_us` are microseconds since 1970.
pub(super) fn clock_json(playback: &Playback) -> Value {
    let mut reply = json!({});
    let mut show = |name: &str, time: Timestamp| {
        reply[name] = json!(rfc3339(time));
        reply[format!("{name}_us")] = json!(time.as_us());
    };
    if let Some(simulation) = playback.clock().simulation() {
        show("start", simulation.start);
        show("real_start", simulation.real_start);
        show("now", playback.clock().now());
        reply["speed"] = json!(simulation.speed);
    }
    let progress = playback.progress();
    reply["events_played"] = json!(progress.played);
    reply["events_total"] = json!(progress.total);
    reply
}

pub(super) fn rfc3339(time: Timestamp) -> String {
    time.to_utc().with_timezone(&ist()).to_rfc3339_opts(chrono::SecondsFormat::Micros, false)
}

async fn clock(State(common): State<Common>) -> Json<Value> {
    Json(clock_json(&common.playback))
}

async fn current_faults(State(common): State<Common>) -> impl IntoResponse {
    Json((*common.faults.current()).clone())
}

async fn change_faults(State(common): State<Common>, Json(change): Json<Map<String, Value>>) -> Response {
    match common.faults.change(change) {
        Ok(faults) => Json((*faults).clone()).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    }
}
