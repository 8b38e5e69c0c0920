//! What can be asked of the daemon.

use super::{
    Access, ControlError, ExplainRequest, JobHistoryRequest, JobRequest, LocalTime, ReplayRejudgeRequest,
};
use crate::market::{Provider, TradingDate};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::str::FromStr;

/// The name of a request; also a varlink method of `org.bhavd.Control1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Status,
    Actors,
    Feeds,
    Chain,
    OpenInterest,
    Deltas,
    Candles,
    Coverage,
    Watch,
    ReplayVerify,
    Explain,
    ReplayRejudge,
    Feed,
    EnableFeed,
    DisableFeed,
    ReconnectFeed,
    Failover,
    Configuration,
    CompareConfiguration,
    Reload,
    LogFilter,
    SetLogFilter,
    Drain,
    Jobs,
    JobHistory,
    RunJob,
}

impl Verb {
    pub const ALL: [Verb; 26] = [
        Verb::Status,
        Verb::Actors,
        Verb::Feeds,
        Verb::Chain,
        Verb::OpenInterest,
        Verb::Deltas,
        Verb::Candles,
        Verb::Coverage,
        Verb::Watch,
        Verb::ReplayVerify,
        Verb::Explain,
        Verb::ReplayRejudge,
        Verb::Feed,
        Verb::EnableFeed,
        Verb::DisableFeed,
        Verb::ReconnectFeed,
        Verb::Failover,
        Verb::Configuration,
        Verb::CompareConfiguration,
        Verb::Reload,
        Verb::LogFilter,
        Verb::SetLogFilter,
        Verb::Drain,
        Verb::Jobs,
        Verb::JobHistory,
        Verb::RunJob,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Verb::Status => "Status",
            Verb::Actors => "Actors",
            Verb::Feeds => "Feeds",
            Verb::Chain => "Chain",
            Verb::OpenInterest => "OpenInterest",
            Verb::Deltas => "Deltas",
            Verb::Candles => "Candles",
            Verb::Coverage => "Coverage",
            Verb::Watch => "Watch",
            Verb::ReplayVerify => "ReplayVerify",
            Verb::Explain => "Explain",
            Verb::ReplayRejudge => "ReplayRejudge",
            Verb::Feed => "Feed",
            Verb::EnableFeed => "EnableFeed",
            Verb::DisableFeed => "DisableFeed",
            Verb::ReconnectFeed => "ReconnectFeed",
            Verb::Failover => "Failover",
            Verb::Configuration => "Configuration",
            Verb::CompareConfiguration => "CompareConfiguration",
            Verb::Reload => "Reload",
            Verb::LogFilter => "LogFilter",
            Verb::SetLogFilter => "SetLogFilter",
            Verb::Drain => "Drain",
            Verb::Jobs => "Jobs",
            Verb::JobHistory => "JobHistory",
            Verb::RunJob => "RunJob",
        }
    }

    pub fn from_name(name: &str) -> Option<Verb> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether the verb changes anything.
    pub const fn access(self) -> Access {
        match self {
            Verb::Status
            | Verb::Actors
            | Verb::Feeds
            | Verb::Chain
            | Verb::OpenInterest
            | Verb::Deltas
            | Verb::Candles
            | Verb::Coverage
            | Verb::Watch
            | Verb::ReplayVerify
            | Verb::Explain
            | Verb::ReplayRejudge
            | Verb::Feed
            | Verb::Configuration
            | Verb::CompareConfiguration
            | Verb::LogFilter
            | Verb::Jobs
            | Verb::JobHistory => Access::Read,
            Verb::EnableFeed
            | Verb::DisableFeed
            | Verb::ReconnectFeed
            | Verb::Failover
            | Verb::Reload
            | Verb::SetLogFilter
            | Verb::Drain
            | Verb::RunJob => Access::Write,
        }
    }

    /// What it does, as an operator would say it: "may not ...".
    pub const fn deed(self) -> &'static str {
        match self {
            Verb::Status => "see the daemon's status",
            Verb::Actors => "see the actors",
            Verb::Feeds => "see the feeds",
            Verb::Chain => "see option chains",
            Verb::OpenInterest => "see open interest",
            Verb::Deltas => "see changes of open interest",
            Verb::Candles => "see candles",
            Verb::Coverage => "see how complete a day is",
            Verb::Watch => "watch",
            Verb::ReplayVerify => "replay a day's log",
            Verb::Explain => "see why a row states what it does",
            Verb::ReplayRejudge => "see what today's rules say of a day",
            Verb::Feed => "see a feed",
            Verb::EnableFeed => "enable a feed",
            Verb::DisableFeed => "disable a feed",
            Verb::ReconnectFeed => "have a feed connect anew",
            Verb::Failover => "choose which provider counts",
            Verb::Configuration => "see the configuration",
            Verb::CompareConfiguration => "compare the configuration with its file",
            Verb::Reload => "have the configuration read again",
            Verb::LogFilter => "see what is logged",
            Verb::SetLogFilter => "change what is logged",
            Verb::Drain => "end the daemon",
            Verb::Jobs => "see the jobs",
            Verb::JobHistory => "see the runs of jobs",
            Verb::RunJob => "have a job run",
        }
    }

    /// Whether an answer may take minutes: it reads a whole day.
    pub const fn is_long(self) -> bool {
        matches!(self, Verb::ReplayVerify | Verb::Explain | Verb::ReplayRejudge)
    }
}

/// One underlying's option chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainRequest {
    pub underlying: String,
    /// The nearest watched expiry if not given.
    #[serde(default)]
    pub expiry: Option<TradingDate>,
    /// The chain as of the last bucket closed at or before this time; the live one if not given.
    #[serde(default)]
    pub at: Option<LocalTime>,
}

/// One contract's buckets of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenInterestRequest {
    /// `NIFTY 2026-02-03 25000 CE`.
    pub contract: String,
    /// The daemon's own date if not given.
    #[serde(default)]
    pub date: Option<TradingDate>,
}

/// The last changes of open interest of a day, newest first; of one contract, one underlying, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltasRequest {
    #[serde(default)]
    pub contract: Option<String>,
    #[serde(default)]
    pub underlying: Option<String>,
    #[serde(default)]
    pub date: Option<TradingDate>,
    /// Rows at most; [`DeltasRequest::LIMIT_DEFAULT`] if not given, [`DeltasRequest::LIMIT_MAX`] at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl DeltasRequest {
    pub const LIMIT_DEFAULT: u32 = 50;
    pub const LIMIT_MAX: u32 = 10_000;

    /// The limit to apply.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_DEFAULT) as usize
    }
}

/// The candles of an index or share on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandlesRequest {
    pub symbol: String,
    /// 3, 5 or 1440 (a day); 5 if not given.
    #[serde(default)]
    pub interval_minutes: Option<u32>,
    #[serde(default)]
    pub date: Option<TradingDate>,
}

impl CandlesRequest {
    pub const INTERVAL_DEFAULT_MINUTES: u32 = 5;

    /// The interval to apply.
    pub fn interval_minutes(&self) -> u32 {
        self.interval_minutes.unwrap_or(Self::INTERVAL_DEFAULT_MINUTES)
    }
}

/// How complete a day is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageRequest {
    /// The day of the last session that has begun, by the daemon's clock, if not given.
    #[serde(default)]
    pub date: Option<TradingDate>,
}

/// A stream of what happens, of one underlying or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchRequest {
    #[serde(default)]
    pub underlying: Option<String>,
}

/// Runs a day's log through the engines again and compares with what the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayVerifyRequest {
    pub date: TradingDate,
}

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRequest {
    /// The provider's name: `angel_one`.
    pub feed: String,
}

/// Which provider is to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailoverRequest {
    /// The provider to force; `None` leaves the choice to the order of preference.
    pub to: Option<Provider>,
}

impl FailoverRequest {
    /// What people write for `None`.
    pub const AUTO: &str = "auto";
}

impl FromStr for FailoverRequest {
    type Err = ControlError;

    /// # Errors
    /// [`ControlError::UnknownFeed`].
    fn from_str(text: &str) -> Result<FailoverRequest, ControlError> {
        if text == Self::AUTO {
            return Ok(FailoverRequest { to: None });
        }
        let to = text.parse().map_err(|_| ControlError::UnknownFeed {
            feed: text.to_owned(),
            known: Provider::ALL.map(|provider| provider.to_string()).into(),
        })?;
        Ok(FailoverRequest { to: Some(to) })
    }
}

/// Another filter of what is logged, until the daemon ends or its configuration sets another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLogFilterRequest {
    /// As in RUST_LOG: `info`, `info,bhavd::feed=debug`.
    pub filter: String,
}

/// Everything that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Status,
    Actors,
    Feeds,
    Chain(ChainRequest),
    OpenInterest(OpenInterestRequest),
    Deltas(DeltasRequest),
    Candles(CandlesRequest),
    Coverage(CoverageRequest),
    /// Answered by a stream, not by one response.
    Watch(WatchRequest),
    ReplayVerify(ReplayVerifyRequest),
    /// Why a bucket's row states what it does.
    Explain(ExplainRequest),
    /// What today's rules say of a day that is over, against what the store holds.
    ReplayRejudge(ReplayRejudgeRequest),
    /// One feed with its settings.
    Feed(FeedRequest),
    /// Lets a feed run that was switched off, or that the configuration does not enable.
    EnableFeed(FeedRequest),
    /// Stops a feed until it is enabled again or the daemon is restarted.
    DisableFeed(FeedRequest),
    /// Drops a feed's connections and sessions and begins anew.
    ReconnectFeed(FeedRequest),
    /// Forces a provider: its values count whenever it is up. Holds until the next such order, over restarts as well.
    Failover(FailoverRequest),
    /// What runs: every key with its value.
    Configuration,
    /// What the configuration file says otherwise, and what a reload would do about it.
    CompareConfiguration,
    /// Reads the configuration file again and applies what can be applied.
    Reload,
    LogFilter,
    SetLogFilter(SetLogFilterRequest),
    /// Ends the daemon in order: feeds first, then everything that was accepted is written.
    Drain,
    Jobs,
    JobHistory(JobHistoryRequest),
    /// Has a job run at once, whether or not it is due.
    RunJob(JobRequest),
}

impl Request {
    pub const fn verb(&self) -> Verb {
        match self {
            Request::Status => Verb::Status,
            Request::Actors => Verb::Actors,
            Request::Feeds => Verb::Feeds,
            Request::Chain(_) => Verb::Chain,
            Request::OpenInterest(_) => Verb::OpenInterest,
            Request::Deltas(_) => Verb::Deltas,
            Request::Candles(_) => Verb::Candles,
            Request::Coverage(_) => Verb::Coverage,
            Request::Watch(_) => Verb::Watch,
            Request::ReplayVerify(_) => Verb::ReplayVerify,
            Request::Explain(_) => Verb::Explain,
            Request::ReplayRejudge(_) => Verb::ReplayRejudge,
            Request::Feed(_) => Verb::Feed,
            Request::EnableFeed(_) => Verb::EnableFeed,
            Request::DisableFeed(_) => Verb::DisableFeed,
            Request::ReconnectFeed(_) => Verb::ReconnectFeed,
            Request::Failover(_) => Verb::Failover,
            Request::Configuration => Verb::Configuration,
            Request::CompareConfiguration => Verb::CompareConfiguration,
            Request::Reload => Verb::Reload,
            Request::LogFilter => Verb::LogFilter,
            Request::SetLogFilter(_) => Verb::SetLogFilter,
            Request::Drain => Verb::Drain,
            Request::Jobs => Verb::Jobs,
            Request::JobHistory(_) => Verb::JobHistory,
            Request::RunJob(_) => Verb::RunJob,
        }
    }

    /// From a verb and its parameters, an object.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] names the parameter that is missing, unknown, of a wrong type or out of its range.
    pub fn decode(verb: Verb, parameters: Value) -> Result<Request, ControlError> {
        let request = match verb {
            Verb::Status => nothing(parameters).map(|()| Request::Status)?,
            Verb::Actors => nothing(parameters).map(|()| Request::Actors)?,
            Verb::Feeds => nothing(parameters).map(|()| Request::Feeds)?,
            Verb::Chain => Request::Chain(typed(parameters)?),
            Verb::OpenInterest => Request::OpenInterest(typed(parameters)?),
            Verb::Deltas => Request::Deltas(typed(parameters)?),
            Verb::Candles => Request::Candles(typed(parameters)?),
            Verb::Coverage => Request::Coverage(typed(parameters)?),
            Verb::Watch => Request::Watch(typed(parameters)?),
            Verb::ReplayVerify => Request::ReplayVerify(typed(parameters)?),
            Verb::Explain => Request::Explain(typed(parameters)?),
            Verb::ReplayRejudge => Request::ReplayRejudge(typed(parameters)?),
            Verb::Feed => Request::Feed(typed(parameters)?),
            Verb::EnableFeed => Request::EnableFeed(typed(parameters)?),
            Verb::DisableFeed => Request::DisableFeed(typed(parameters)?),
            Verb::ReconnectFeed => Request::ReconnectFeed(typed(parameters)?),
            Verb::Failover => Request::Failover(typed(parameters)?),
            Verb::Configuration => nothing(parameters).map(|()| Request::Configuration)?,
            Verb::CompareConfiguration => nothing(parameters).map(|()| Request::CompareConfiguration)?,
            Verb::Reload => nothing(parameters).map(|()| Request::Reload)?,
            Verb::LogFilter => nothing(parameters).map(|()| Request::LogFilter)?,
            Verb::SetLogFilter => Request::SetLogFilter(typed(parameters)?),
            Verb::Drain => nothing(parameters).map(|()| Request::Drain)?,
            Verb::Jobs => nothing(parameters).map(|()| Request::Jobs)?,
            Verb::JobHistory => Request::JobHistory(typed(parameters)?),
            Verb::RunJob => Request::RunJob(typed(parameters)?),
        };
        request.check()?;
        Ok(request)
    }

    /// The parameters as an object.
    pub fn parameters(&self) -> Value {
        let value = match self {
            Request::Status
            | Request::Actors
            | Request::Feeds
            | Request::Configuration
            | Request::CompareConfiguration
            | Request::Reload
            | Request::LogFilter
            | Request::Drain
            | Request::Jobs => Ok(Value::Object(serde_json::Map::new())),
            Request::Feed(request)
            | Request::EnableFeed(request)
            | Request::DisableFeed(request)
            | Request::ReconnectFeed(request) => serde_json::to_value(request),
            Request::Failover(request) => serde_json::to_value(request),
            Request::SetLogFilter(request) => serde_json::to_value(request),
            Request::Chain(request) => serde_json::to_value(request),
            Request::OpenInterest(request) => serde_json::to_value(request),
            Request::Deltas(request) => serde_json::to_value(request),
            Request::Candles(request) => serde_json::to_value(request),
            Request::Coverage(request) => serde_json::to_value(request),
            Request::Watch(request) => serde_json::to_value(request),
            Request::ReplayVerify(request) => serde_json::to_value(request),
            Request::Explain(request) => serde_json::to_value(request),
            Request::ReplayRejudge(request) => serde_json::to_value(request),
            Request::JobHistory(request) => serde_json::to_value(request),
            Request::RunJob(request) => serde_json::to_value(request),
        };
        value.expect("requests have string keys and no failing fields")
    }

    fn check(&self) -> Result<(), ControlError> {
        match self {
            Request::Deltas(request) => {
                check_limit(request.limit() as u32, DeltasRequest::LIMIT_MAX)?;
                if request.contract.is_some() && request.underlying.is_some() {
                    return Err(ControlError::invalid(
                        "contract",
                        "give a contract or an underlying, not both",
                    ));
                }
                Ok(())
            }
            Request::Explain(ExplainRequest { date: Some(date), at: Some(at), .. }) => match at.date {
                Some(named) if named != *date => Err(ControlError::invalid(
                    "at",
                    format!("it names {named}, and date says {date}; give one"),
                )),
                _ => Ok(()),
            },
            Request::JobHistory(request) => check_limit(request.limit(), JobHistoryRequest::LIMIT_MAX),
            Request::Candles(request) => {
                let minutes = i64::from(request.interval_minutes());
                match crate::market::CandleInterval::from_minutes(minutes) {
                    Some(_) => Ok(()),
                    None => {
                        let reason = format!("found {minutes}, allowed are 3, 5 and 1440");
                        Err(ControlError::invalid("interval_minutes", reason))
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

fn check_limit(limit: u32, max: u32) -> Result<(), ControlError> {
    match limit {
        limit if (1..=max).contains(&limit) => Ok(()),
        _ => Err(ControlError::invalid("limit", format!("found {limit}, allowed is 1 to {max}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn nothing(parameters: Value) -> Result<(), ControlError> {
    typed::<Nothing>(parameters).map(|Nothing {}| ())
}

fn typed<T: DeserializeOwned>(parameters: Value) -> Result<T, ControlError> {
    serde_path_to_error::deserialize(parameters)
        .map_err(|error| ControlError::invalid(error.path().to_string(), error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(verb: Verb, parameters: Value) -> Result<Request, ControlError> {
        Request::decode(verb, parameters)
    }

    #[test]
    fn names_lead_back_to_their_verbs() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_name(verb.name()), Some(verb));
        }
        assert_eq!(Verb::from_name("status"), None);
    }

    #[test]
    fn requests_survive_the_wire() {
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let feed = || FeedRequest { feed: "nse".to_owned() };
        let requests = [
            Request::Status,
            Request::Actors,
            Request::Feeds,
            Request::Chain(ChainRequest {
                underlying: "NIFTY".to_owned(),
                expiry: Some(date),
                at: Some("11:42".parse().expect("a time")),
            }),
            Request::OpenInterest(OpenInterestRequest {
                contract: "NIFTY 2026-02-03 25000 CE".to_owned(),
                date: Some(date),
            }),
            Request::Deltas(DeltasRequest {
                underlying: Some("NIFTY".to_owned()),
                ..DeltasRequest::default()
            }),
            Request::Candles(CandlesRequest {
                symbol: "NIFTY".to_owned(),
                interval_minutes: Some(3),
                date: None,
            }),
            Request::Coverage(CoverageRequest { date: Some(date) }),
            Request::Watch(WatchRequest { underlying: None }),
            Request::ReplayVerify(ReplayVerifyRequest { date }),
            Request::Explain(ExplainRequest {
                contract: "NIFTY 2026-02-03 25000 CE".to_owned(),
                date: None,
                at: Some("2026-01-30 10:42".parse().expect("a time")),
            }),
            Request::ReplayRejudge(ReplayRejudgeRequest { date }),
            Request::Feed(feed()),
            Request::EnableFeed(feed()),
            Request::DisableFeed(feed()),
            Request::ReconnectFeed(feed()),
            Request::Failover(FailoverRequest { to: Some(Provider::Nse) }),
            Request::Configuration,
            Request::CompareConfiguration,
            Request::Reload,
            Request::LogFilter,
            Request::SetLogFilter(SetLogFilterRequest { filter: "debug".to_owned() }),
            Request::Drain,
            Request::Jobs,
            Request::JobHistory(JobHistoryRequest { job: Some("verify".to_owned()), limit: Some(7) }),
            Request::RunJob(JobRequest { job: "archive".to_owned() }),
        ];
        assert_eq!(requests.each_ref().map(Request::verb), Verb::ALL);
        for request in requests {
            assert_eq!(decode(request.verb(), request.parameters()), Ok(request));
        }
    }

    #[test]
    fn an_order_is_a_providers_name_or_auto() {
        let parse = |text: &str| text.parse().map(|request: FailoverRequest| request.to);
        assert_eq!([parse("angel_one"), parse("auto")], [Ok(Some(Provider::AngelOne)), Ok(None)]);
        let error = parse("dhan").expect_err("no provider").to_string();
        assert_eq!(error, "there is no feed dhan; there are angel_one, nse");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (verb, parameters, parameter, part) in [
            (Verb::Chain, json!({}), ".", "missing field `underlying`"),
            (Verb::Chain, json!({"underlying": 7}), "underlying", "invalid type"),
            (Verb::Chain, json!({"underlying": "NIFTY", "at": "noon"}), "at", "HH:MM"),
            (Verb::Chain, json!({"underlying": "NIFTY", "expires": 1}), "expires", "unknown field"),
            (Verb::Status, json!({"verbose": true}), "verbose", "unknown field"),
            (Verb::Coverage, json!({"date": "2026-02-30"}), "date", "input is out of range"),
            (Verb::Failover, json!({"to": "dhan"}), "to", "expected `angel_one` or `nse`"),
            (Verb::Deltas, json!({"limit": 0}), "limit", "allowed is 1 to 10000"),
            (Verb::JobHistory, json!({"limit": 10_001}), "limit", "allowed is 1 to 10000"),
            (Verb::RunJob, json!({}), ".", "missing field `job`"),
            (
                Verb::Explain,
                json!({"contract": "a", "date": "2026-01-30", "at": "2026-01-29 10:42"}),
                "at",
                "it names 2026-01-29, and date says 2026-01-30",
            ),
            (Verb::Deltas, json!({"contract": "a", "underlying": "b"}), "contract", "not both"),
            (
                Verb::Candles,
                json!({"symbol": "NIFTY", "interval_minutes": 7}),
                "interval_minutes",
                "3, 5 and 1440",
            ),
        ] {
            match decode(verb, parameters) {
                Err(ControlError::Invalid { parameter: named, reason }) => {
                    assert_eq!(named, parameter, "{reason}");
                    assert!(reason.contains(part), "{reason}");
                }
                other => panic!("{}: {other:?}", verb.name()),
            }
        }
    }
}
