//! A scripted Angel One on loopback: answers what the test put down for it and keeps what it was asked.
#![expect(
    clippy::disallowed_methods,
    reason = "the broker is no part of any tree; its tasks end with the test"
)]

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
};
use bhavd::{clock::Clock, market::Timestamp, wire::angel_one::*};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// What a stream connection meets.
#[derive(Debug)]
pub enum Connection {
    /// A handshake refused with 401 and this reason.
    Refused(&'static str),
    /// After a subscription these frames, then a lost connection.
    Lost(Vec<Message>),
    /// After a subscription these frames, then silence but for pongs.
    Held(Vec<Message>),
}

#[derive(Default)]
pub struct Script {
    /// Answers by path, first come first; without one the call succeeds.
    pub answers: Vec<(&'static str, u16, Vec<u8>)>,
    pub connections: VecDeque<Connection>,
    pub master: Vec<u8>,
    pub quote_answer: Vec<u8>,
    pub candle_answer: Vec<u8>,
    /// Path, time and body of each REST call, with the Authorization header.
    pub calls: Vec<(String, Timestamp, Vec<u8>, String)>,
    /// Number of the connection and what it said.
    pub texts: Vec<(usize, ClientText)>,
    pub handshakes: Vec<(String, String)>,
    /// Connections whose client went away.
    pub ended: Vec<usize>,
}

#[derive(Clone)]
pub struct Broker {
    pub root: String,
    pub stream: String,
    pub clock: Clock,
    script: Arc<Mutex<Script>>,
}

impl Broker {
    pub async fn start(clock: Clock, script: Script) -> Broker {
        let rest = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let broker = Broker {
            root: format!("http://{}", rest.local_addr().expect("an address")),
            stream: format!("ws://{}/smart-stream", stream.local_addr().expect("an address")),
            clock,
            script: Arc::new(Mutex::new(script)),
        };
        let router = Router::new().fallback(answer).with_state(broker.clone());
        tokio::spawn(async move { axum::serve(rest, router).await });
        let streams = broker.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (socket, _) = stream.accept().await.expect("a connection");
                tokio::spawn(streams.clone().serve(socket, number));
            }
        });
        broker
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panics while it holds the script")
    }

    pub fn calls(&self, path: &str) -> Vec<(Timestamp, Vec<u8>, String)> {
        let calls = self.script();
        let of_path = calls.calls.iter().filter(|call| call.0 == path);
        of_path.map(|(_, time, body, bearer)| (*time, body.clone(), bearer.clone())).collect()
    }

    /// The tokens each subscription of a connection asked for.
    pub fn subscriptions(&self, connection: usize) -> Vec<StreamRequest> {
        let script = self.script();
        let of_connection = script.texts.iter().filter(|(number, _)| *number == connection);
        let requests = of_connection.filter_map(|(_, text)| match text {
            ClientText::Request(request) => Some(request.clone()),
            ClientText::Ping => None,
        });
        requests.collect()
    }

    async fn serve(self, socket: TcpStream, number: usize) {
        let connection = self.script().connections.pop_front().unwrap_or(Connection::Held(vec![]));
        #[expect(
            clippy::result_large_err,
            reason = "the library's signature; the refusal is as large as it makes it"
        )]
        let shake = |request: &Request, response: Response| {
            let header = |name: &str| {
                let value = request.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            self.script().handshakes.push((header("authorization"), header("x-feed-token")));
            match connection {
                Connection::Refused(reason) => {
                    let mut refusal = ErrorResponse::new(None);
                    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                    refusal.headers_mut().insert("x-error-message", reason.parse().expect("a header"));
                    Err(refusal)
                }
                _ => Ok(response),
            }
        };
        let Ok(mut socket) = accept_hdr_async(socket, shake).await else { return };
        let mut frames = Vec::new();
        let mut closes = false;
        match connection {
            Connection::Refused(_) => {}
            Connection::Lost(sent) => (frames, closes) = (sent, true),
            Connection::Held(sent) => frames = sent,
        }
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let text = ClientText::decode(text.as_bytes()).expect("a request of the protocol");
            let is_request = matches!(text, ClientText::Request(_));
            self.script().texts.push((number, text));
            let answers =
                if is_request { std::mem::take(&mut frames) } else { vec![ServerText::Pong.encode().into()] };
            for answer in answers {
                if socket.send(answer).await.is_err() {
                    break;
                }
            }
            if is_request && closes {
                return;
            }
        }
        self.script().ended.push(number);
    }
}

async fn answer(
    State(broker): State<Broker>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = broker.clock.now();
    let mut script = broker.script();
    script.calls.push((uri.path().to_owned(), now, body.to_vec(), bearer.to_owned()));
    if let Some(at) = script.answers.iter().position(|(path, ..)| *path == uri.path()) {
        let (_, status, body) = script.answers.remove(at);
        return (StatusCode::from_u16(status).expect("a status"), body);
    }
    let is_login = |path| path == LOGIN_PATH || path == REFRESH_PATH;
    let number = script.calls.iter().filter(|call| is_login(call.0.as_str())).count();
    let body = match uri.path() {
        LOGIN_PATH | REFRESH_PATH => SessionTokens {
            jwt_token: encode_jwt("A123", now.plus_seconds(36_000), number as u64),
            refresh_token: format!("refresh{number}"),
            feed_token: format!("feed{number}"),
        }
        .encode(),
        QUOTE_PATH => script.quote_answer.clone(),
        CANDLES_PATH => script.candle_answer.clone(),
        "/master.json" => script.master.clone(),
        _ => return (StatusCode::NOT_FOUND, Vec::new()),
    };
    (StatusCode::OK, body)
}
