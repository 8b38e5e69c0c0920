//! REST calls: headers, time limits, bounded bodies, and what a failure means.

use super::Credentials;
use crate::{
    feed::{FeedError, FeedStatus},
    wire::angel_one::{Refusal, RefusalClass, SessionTokens, WireError, check_answer},
};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::{
    error::Error,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// As Angel One's own clients wait; real time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(7);
const MASTER_TIMEOUT: Duration = Duration::from_secs(120);
const BODY_MAX_BYTES: usize = 8 << 20;
const MASTER_MAX_BYTES: usize = 256 << 20;

/// A call without a usable answer. The caller backs off, or gives the session up, by its class.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestError {
    #[error(transparent)]
    Refused(Refusal),
    /// A success by its status, but no answer by its body: HTML, a cut body.
    #[error("no answer: {0}")]
    NoAnswer(WireError),
    #[error("{what} failed: {reason}")]
    Unreachable { what: &'static str, reason: String },
    #[error("the body is longer than {limit} bytes")]
    TooLong { limit: usize },
    /// Well formed, but not what it can be.
    #[error("{what} is not believed: {doubt}")]
    NotBelieved { what: &'static str, doubt: String },
}

impl RestError {
    /// Failures of the network and bodies that are no answers count as temporary.
    pub fn class(&self) -> RefusalClass {
        match self {
            RestError::Refused(refusal) => refusal.class(),
            _ => RefusalClass::Temporary,
        }
    }

    fn network(what: &'static str, error: reqwest::Error) -> RestError {
        // The address is in the settings, and a query could hold secrets.
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        RestError::Unreachable { what, reason }
    }
}

impl From<WireError> for RestError {
    fn from(error: WireError) -> RestError {
        match error {
            WireError::Refused(refusal) => RestError::Refused(refusal),
            other => RestError::NoAnswer(other),
        }
    }
}

/// The REST side of one account.
pub(super) struct Rest {
    client: reqwest::Client,
    root: String,
    api_key: HeaderValue,
    client_code: HeaderValue,
    status: Arc<FeedStatus>,
}

impl Rest {
    pub fn new(root: &str, credentials: &Credentials, status: Arc<FeedStatus>) -> Result<Rest, FeedError> {
        // Whoever came first installed a provider; any serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(REQUEST_TIMEOUT)
            .http1_only()
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|error| FeedError::client(&error))?;
        Ok(Rest {
            client,
            root: root.trim_end_matches('/').to_owned(),
            api_key: header_value("angel_one.api_key", credentials.api_key.expose())?,
            client_code: header_value("angel_one.client_code", &credentials.client_code)?,
            status,
        })
    }

    /// The body of a successful answer; anything else is an error.
    pub async fn post(
        &self,
        path: &str,
        session: Option<&SessionTokens>,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, RestError> {
        const WHAT: &str = "a request";
        self.status.requests.fetch_add(1, Relaxed);
        let mut request = self
            .client
            .post(format!("{}{path}", self.root))
            .timeout(REQUEST_TIMEOUT)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            // Angel One wants these five; the official client sends fixed values for the last three too.
            .header("X-UserType", "USER")
            .header("X-SourceID", "WEB")
            .header("X-ClientLocalIP", "127.0.0.1")
            .header("X-ClientPublicIP", "127.0.0.1")
            .header("X-MACAddress", "00:00:00:00:00:00")
            .header("X-PrivateKey", self.api_key.clone());
        if let Some(session) = session {
            request = request.bearer_auth(&session.jwt_token);
        }
        let response = request.body(body).send().await.map_err(|error| RestError::network(WHAT, error))?;
        let status = response.status();
        let body = bounded_body(response, BODY_MAX_BYTES).await?;
        if !status.is_success() {
            return Err(RestError::Refused(Refusal::of_status(status.as_u16(), &body)));
        }
        check_answer(&body)?;
        Ok(body)
    }

    /// The instrument master, which needs no session.
    pub async fn master(&self, url: &str) -> Result<Vec<u8>, RestError> {
        const WHAT: &str = "the instrument master";
        self.status.requests.fetch_add(1, Relaxed);
        let request = self.client.get(url).timeout(MASTER_TIMEOUT);
        let response = request.send().await.map_err(|error| RestError::network(WHAT, error))?;
        let status = response.status();
        if !status.is_success() {
            let body = bounded_body(response, BODY_MAX_BYTES).await?;
            return Err(RestError::Refused(Refusal::of_status(status.as_u16(), &body)));
        }
        bounded_body(response, MASTER_MAX_BYTES).await
    }

    /// Shakes hands with the stream; the caller reads and writes frames on what comes back.
    pub async fn open_stream(
        &self,
        url: &str,
        session: &SessionTokens,
        key: &str,
    ) -> Result<(reqwest::Upgraded, HeaderMap), RestError> {
        const WHAT: &str = "the stream's handshake";
        self.status.requests.fetch_add(1, Relaxed);
        // reqwest knows the schemes of HTTP only.
        let url = match url.split_once("://") {
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("ws", rest)) => format!("http://{rest}"),
            _ => url.to_owned(),
        };
        let request = self
            .client
            .get(url)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key)
            .header("x-api-key", self.api_key.clone())
            .header("x-client-code", self.client_code.clone())
            .header("x-feed-token", &session.feed_token)
            .bearer_auth(&session.jwt_token);
        let shake = async {
            let response = request.send().await.map_err(|error| RestError::network(WHAT, error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if status == reqwest::StatusCode::SWITCHING_PROTOCOLS {
                let upgraded = response.upgrade().await.map_err(|error| RestError::network(WHAT, error))?;
                return Ok((upgraded, headers));
            }
            let body = bounded_body(response, BODY_MAX_BYTES).await?;
            let refusal = Refusal::of_status(status.as_u16(), &body);
            let said = headers.get(HeaderName::from_static("x-error-message"));
            Err(RestError::Refused(match said.and_then(|said| said.to_str().ok()) {
                Some(said) => Refusal { message: said.to_owned(), ..refusal },
                None => refusal,
            }))
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, shake).await {
            Ok(shaken) => shaken,
            Err(_) => Err(RestError::Unreachable { what: WHAT, reason: "no answer in time".to_owned() }),
        }
    }
}

fn header_value(name: &'static str, text: &str) -> Result<HeaderValue, FeedError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| FeedError::Setup {
        what: name,
        reason: "it has characters that an HTTP header cannot carry; write it again".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn bounded_body(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, RestError> {
    // In one piece where the server says how long it is: a buffer that doubles leaves holes of its former sizes.
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(length.filter(|length| *length <= limit).unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(|error| RestError::network("a body", error))? {
        if body.len() + chunk.len() > limit {
            return Err(RestError::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
