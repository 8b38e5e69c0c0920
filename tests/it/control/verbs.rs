//! Every verb there and back, and what the daemon learns of its peer.

use super::daemon::{DAY_WITHOUT_ANSWER, Daemon, Event, QUIET};
use crate::control_samples as samples;
use bhavd::control::*;
use std::time::Duration;

fn requests() -> Vec<Request> {
    let nse = || FeedRequest { feed: "nse".to_owned() };
    vec![
        Request::Status,
        Request::Actors,
        Request::Feeds,
        Request::Chain(ChainRequest {
            underlying: "NIFTY".to_owned(),
            expiry: None,
            at: Some("2026-01-30 11:42".parse().expect("a time")),
        }),
        Request::OpenInterest(OpenInterestRequest {
            contract: "NIFTY 2026-02-03 25200 CE".to_owned(),
            date: None,
        }),
        Request::Deltas(DeltasRequest { underlying: Some("NIFTY".to_owned()), ..DeltasRequest::default() }),
        Request::Candles(CandlesRequest {
            symbol: "NIFTY".to_owned(),
            interval_minutes: Some(3),
            date: None,
        }),
        Request::Coverage(CoverageRequest { date: Some(samples::date(29)) }),
        Request::ReplayVerify(ReplayVerifyRequest { date: samples::date(29) }),
        Request::Explain(ExplainRequest {
            contract: "NIFTY 2026-02-03 25300 CE".to_owned(),
            date: None,
            at: Some("10:42".parse().expect("a time")),
        }),
        Request::ReplayRejudge(ReplayRejudgeRequest { date: samples::date(27) }),
        Request::Feed(nse()),
        Request::EnableFeed(nse()),
        Request::DisableFeed(nse()),
        Request::ReconnectFeed(nse()),
        Request::Failover(FailoverRequest { to: None }),
        Request::Configuration,
        Request::CompareConfiguration,
        Request::Reload,
        Request::LogFilter,
        Request::SetLogFilter(SetLogFilterRequest { filter: "debug".to_owned() }),
        Request::Drain,
        Request::Jobs,
        Request::JobHistory(JobHistoryRequest { job: Some("verify".to_owned()), limit: None }),
        Request::RunJob(JobRequest { job: "archive".to_owned() }),
    ]
}

#[test]
fn every_verb_there_and_back_with_the_peers_credentials() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let own = Peer {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        pid: i32::try_from(std::process::id()).ok(),
    };
    for (request, response) in requests().into_iter().zip(samples::responses()) {
        assert_eq!(client.ask(&request).expect("an answer"), response);
        assert_eq!(daemon.next_event(), Event::Asked(request, own));
    }
}

#[test]
fn updates_come_in_order_and_then_the_stream_ends() {
    let daemon = Daemon::start();
    let mut updates = daemon.client().watch(WatchRequest::default()).expect("a stream");
    for expected in samples::updates() {
        let (update, json) = updates.next().expect("an update").expect("no error");
        assert_eq!(update, expected);
        assert_eq!(json["schema_version"], SCHEMA_VERSION);
    }
    let ended = updates.next().expect("why it ended").expect_err("no update");
    assert!(matches!(ended, ClientError::Refused(ControlError::Unavailable { .. })), "{ended}");
    assert!(updates.next().is_none());
}

#[test]
fn a_watcher_that_goes_away_is_forgotten() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    peer.send(encode_frame(&Call::of(&Request::Watch(WatchRequest {
        underlying: Some(super::daemon::FLOOD.to_owned()),
    }))));
    assert_eq!(peer.receive().expect("an update")["continues"], true);
    drop(peer);
    assert!(matches!(daemon.next_event(), Event::Asked(Request::Watch(_), _)));
    assert_eq!(daemon.next_event(), Event::Unwatched);
}

#[test]
fn a_refusal_keeps_its_fields() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let chain = ChainRequest { underlying: "NIFTI".to_owned(), expiry: None, at: None };
    let error = client.ask(&Request::Chain(chain)).expect_err("an unknown underlying");
    match error {
        ClientError::Refused(ControlError::UnknownUnderlying { underlying, known }) => {
            assert_eq!((underlying.as_str(), known.len()), ("NIFTI", 2));
        }
        other => panic!("{other}"),
    }
    assert!(client.ask(&Request::Status).is_ok(), "the connection goes on");
}

#[test]
fn an_answer_that_takes_too_long_is_given_up_on_either_side() {
    let coverage = Request::Coverage(CoverageRequest { date: Some(samples::date(DAY_WITHOUT_ANSWER)) });
    let daemon = Daemon::with(Limits { answer: Duration::from_millis(20), ..Limits::default() }, true);
    let error = daemon.client().ask(&coverage).expect_err("no answer");
    assert!(matches!(error, ClientError::Refused(ControlError::TimedOut { .. })), "{error}");

    let daemon = Daemon::start();
    let mut hasty =
        Client::connect(&daemon.socket(), Some(Duration::from_millis(20))).expect("the daemon answers");
    let error = hasty.ask(&coverage).expect_err("no answer");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[test]
fn stopping_ends_streams_with_a_word_and_takes_the_socket_away() {
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let mut daemon = Daemon::with(limits, true);
    let mut idle = daemon.peer();
    assert!(idle.is_served());
    let mut busy = daemon.peer();
    busy.send(encode_frame(&Call::of(&Request::Coverage(CoverageRequest {
        date: Some(samples::date(DAY_WITHOUT_ANSWER)),
    }))));
    assert!(matches!(daemon.next_event(), Event::Asked(Request::Coverage(_), _)));
    let watch = WatchRequest { underlying: Some(QUIET.to_owned()) };
    let mut updates = daemon.client().watch(watch).expect("a stream");
    assert!(matches!(daemon.next_event(), Event::Asked(Request::Watch(_), _)));
    daemon.stop();
    let ended = updates.next().expect("why it ended").expect_err("no update");
    assert!(matches!(ended, ClientError::Refused(ControlError::Unavailable { .. })), "{ended}");
    assert_eq!(idle.receive(), None);
    assert_eq!(busy.receive(), None);
    assert!(!daemon.socket().exists());
}
