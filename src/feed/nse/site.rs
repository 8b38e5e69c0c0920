//! Requests to the website: browser headers, cookies, the rate, bounded bodies, and what a failure means.
//!
//! The API answers only clients that fetched a page first and send its cookies back. When it refuses (401, 403) the
//! page is fetched once more and the request repeated; a second refusal is the caller's, who backs off.

use super::NseSettings;
use crate::{
    clock::Clock,
    feed::{FeedError, FeedStatus, limiter::Limiter},
    market::Timestamp,
    wire::nse::{BODY_MAX_BYTES, WireError},
};
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
    redirect::Policy,
};
use std::{
    error::Error,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::Mutex;

/// Real time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const WARM_UP_PATH: &str = "/option-chain";
/// Bodies that are no answers renew the cookies, but not more often than this.
const COOKIES_MIN_AGE_US: i64 = 60_000_000;
const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// A request without a usable answer. The feed counts it; refusals make it back off, everything else is asked again
/// in its turn.
#[derive(Debug, thiserror::Error)]
pub(super) enum SiteError {
    #[error("the website refuses with {status}")]
    Refused { status: StatusCode },
    #[error("the website answers {status}")]
    Status { status: StatusCode },
    #[error("{what} failed: {reason}")]
    Unreachable { what: &'static str, reason: String },
    #[error("the body is longer than {BODY_MAX_BYTES} bytes")]
    TooLong,
    #[error("no answer: {0}")]
    NoAnswer(#[from] WireError),
    /// A chain, but not the one that was asked for.
    #[error("no answer: the chain of {found}")]
    OtherChain { found: String },
    #[error("no answer: a chain without a contract")]
    NoRows,
    /// Well formed, but not what it can be.
    #[error("it is not believed: {doubt}")]
    NotBelieved { doubt: String },
    /// The chain's own time stands still although the market is open.
    #[error("the chain is of {timestamp}")]
    Stale { timestamp: Timestamp },
}

impl SiteError {
    /// Whether a body came that does not answer what was asked.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, SiteError::NoAnswer(_) | SiteError::OtherChain { .. } | SiteError::NoRows)
    }

    /// Whether asking on at once would make it worse.
    pub fn is_refusal(&self) -> bool {
        matches!(self, SiteError::Refused { .. })
    }

    fn network(what: &'static str, error: &reqwest::Error) -> SiteError {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        SiteError::Unreachable { what, reason }
    }
}

pub(super) struct Site {
    client: reqwest::Client,
    site: Url,
    archive: Url,
    limiter: Limiter,
    cookies: Mutex<Cookies>,
    clock: Clock,
    status: Arc<FeedStatus>,
}

/// The state of the client's cookies.
#[derive(Default)]
struct Cookies {
    /// How often they were fetched; 0 means never.
    generation: u64,
    fetched: Timestamp,
    is_doubtful: bool,
}

impl Site {
    pub fn new(settings: &NseSettings, clock: &Clock, status: &Arc<FeedStatus>) -> Result<Site, FeedError> {
        let url = |what, text: &str| {
            Url::parse(text).map_err(|error| FeedError::Setup { what, reason: error.to_string() })
        };
        let site = url("feeds.nse.site_url", &settings.site_url)?;
        let archive = url("feeds.nse.archive_url", &settings.archive_url)?;
        // Whoever came first installed a provider; any serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .default_headers(browser_headers(&site)?)
            .user_agent(USER_AGENT)
            .cookie_store(true)
            .redirect(Policy::limited(3))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|error| FeedError::client(&error))?;
        Ok(Site {
            client,
            site,
            archive,
            limiter: Limiter::new(clock, settings.requests_per_second),
            cookies: Mutex::new(Cookies::default()),
            clock: clock.clone(),
            status: status.clone(),
        })
    }

    /// Asks the API, with cookies.
    pub async fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Vec<u8>, SiteError> {
        let url = at(&self.site, path, parameters);
        let generation = self.fetch_cookies(None).await?;
        match self.fetch(url.clone()).await {
            Err(SiteError::Refused { status }) if status != StatusCode::TOO_MANY_REQUESTS => {
                self.fetch_cookies(Some(generation)).await?;
                self.fetch(url).await
            }
            answer => answer,
        }
    }

    /// Asks the archive, which needs no cookies. It answers 403 for a file that is not there.
    pub async fn get_file(&self, path: &str) -> Result<Vec<u8>, SiteError> {
        self.fetch(at(&self.archive, path, &[])).await
    }

    /// A body was no answer: blocked clients get such ones with status 200, so the cookies may be at fault.
    ///
    /// Never waits: while a request holds the cookies it fetches new ones, and that request may be one that the
    /// caller itself drives.
    pub fn doubt_cookies(&self) {
        if let Ok(mut cookies) = self.cookies.try_lock() {
            cookies.is_doubtful |= self.clock.now().us_since(cookies.fetched) >= COOKIES_MIN_AGE_US;
        }
    }

    /// Fetches cookies if there are none, if they are doubtful, or if `refused` is their generation. Requests that
    /// were refused together cause one fetch.
    async fn fetch_cookies(&self, refused: Option<u64>) -> Result<u64, SiteError> {
        let mut cookies = self.cookies.lock().await;
        if cookies.generation == 0 || cookies.is_doubtful || refused == Some(cookies.generation) {
            self.fetch(at(&self.site, WARM_UP_PATH, &[])).await?;
            *cookies =
                Cookies { generation: cookies.generation + 1, fetched: self.clock.now(), is_doubtful: false };
        }
        Ok(cookies.generation)
    }

    async fn fetch(&self, url: Url) -> Result<Vec<u8>, SiteError> {
        self.limiter.wait().await;
        self.status.requests.fetch_add(1, Relaxed);
        let sent = self.client.get(url).send().await;
        let mut response = sent.map_err(|error| SiteError::network("the request", &error))?;
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                return Err(SiteError::Refused { status });
            }
            StatusCode::OK => {}
            _ => return Err(SiteError::Status { status }),
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| SiteError::network("the body", &error))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > BODY_MAX_BYTES {
                return Err(SiteError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// `path` under `root`, which may have a path of its own.
fn at(root: &Url, path: &str, parameters: &[(&str, String)]) -> Url {
    let mut url = root.clone();
    url.set_path(&format!("{}{path}", root.path().trim_end_matches('/')));
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    url
}

fn browser_headers(site: &Url) -> Result<HeaderMap, FeedError> {
    let referer = HeaderValue::from_str(at(site, WARM_UP_PATH, &[]).as_str())
        .map_err(|error| FeedError::Setup { what: "feeds.nse.site_url", reason: error.to_string() })?;
    Ok(HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static("*/*")),
        (header::ACCEPT_LANGUAGE, HeaderValue::from_static("en-US,en;q=0.9")),
        (header::REFERER, referer),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_the_root_may_have_a_path() {
        let root = Url::parse("http://127.0.0.1:8080/nse/").expect("a URL");
        let url = at(&root, "/api/option-chain-v3", &[("symbol", "M&M".to_owned())]);
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/nse/api/option-chain-v3?symbol=M%26M");
    }
}
