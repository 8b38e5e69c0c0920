//! Peers that do not keep to the protocol, or to its limits.

use super::daemon::{Daemon, Event, FLOOD, RawPeer};
use bhavd::control::*;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

const STATUS: &str = r#"{"method":"org.bhavd.Control1.Status"}"#;

fn error_of(reply: &serde_json::Value) -> &str {
    reply["error"].as_str().expect("an error")
}

#[test]
fn a_service_describes_itself_to_any_varlink_client() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    assert!(peer.is_served());
    let reply = peer.ask(
        r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.bhavd.Control1"}}"#,
    );
    assert_eq!(reply, json!({"parameters": {"description": INTERFACE_DESCRIPTION}}));
}

#[test]
fn wrong_calls_are_refused_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    for (call, error) in [
        (r#"{"method":"org.bhavd.Control1.Reboot"}"#, "org.varlink.service.MethodNotFound"),
        (r#"{"method":"org.example.Status"}"#, "org.varlink.service.InterfaceNotFound"),
        (r#"{"method":"org.bhavd.Control1.Chain"}"#, "org.bhavd.Control1.Invalid"),
        (
            r#"{"method":"org.bhavd.Control1.Coverage","parameters":{"date":"today"}}"#,
            "org.bhavd.Control1.Invalid",
        ),
        (r#"{"method":"org.bhavd.Control1.Watch"}"#, "org.varlink.service.ExpectedMore"),
    ] {
        assert_eq!(error_of(&peer.ask(call)), error, "{call}");
    }
    assert!(peer.is_served());
}

#[test]
fn garbage_is_told_and_cut_off() {
    let daemon = Daemon::start();
    for garbage in
        ["hello\0", "\0", "{\"method\":\0", "\u{1}\u{2}\0", "{\"method\":[]}\0", "GET / HTTP/1.1\r\n\r\n\0"]
    {
        let mut peer = daemon.peer();
        peer.send(garbage);
        assert_eq!(error_of(&peer.receive().expect("why")), "org.bhavd.Control1.Invalid", "{garbage:?}");
        assert_eq!(peer.receive(), None, "{garbage:?}");
    }
    assert!(daemon.peer().is_served());
}

#[test]
fn a_frame_may_come_in_pieces_and_several_in_one() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    for byte in STATUS.bytes().chain([0]) {
        peer.send([byte]);
    }
    assert_eq!(peer.receive().expect("an answer")["parameters"]["schema_version"], 1);
    peer.send(format!("{STATUS}\0{}\0{STATUS}\0", r#"{"method":"org.bhavd.Control1.Feeds"}"#));
    for field in ["pid", "feeds", "pid"] {
        assert!(peer.receive().expect("an answer")["parameters"].get(field).is_some(), "{field}");
    }
}

#[test]
fn half_a_frame_harms_nobody() {
    let daemon = Daemon::start();
    let mut half = daemon.peer();
    half.send(&STATUS[..20]);
    assert!(daemon.peer().is_served());
    drop(half);
    assert!(daemon.peer().is_served());
}

#[test]
fn an_endless_frame_is_cut_off_at_its_limit() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    // The daemon stops reading in the middle of this.
    let _ = peer.stream.write_all(&vec![b' '; 4 << 20]);
    let reply = peer.receive().expect("why");
    assert_eq!(
        reply,
        json!({"error": "org.bhavd.Control1.CallTooLarge", "parameters": {"limit_bytes": 1 << 20}})
    );
    assert_eq!(peer.receive(), None);

    let mut peer = daemon.peer();
    let mut call = STATUS.as_bytes().to_vec();
    call.resize(1 << 20, b' ');
    call.push(0);
    peer.send(&call);
    assert!(peer.receive().expect("a call of exactly the limit is answered")["parameters"].is_object());
}

#[test]
fn a_oneway_call_gets_no_reply() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    peer.send(format!("{}\0", r#"{"method":"org.bhavd.Control1.Feeds","oneway":true}"#));
    peer.send(format!("{}\0", r#"{"method":"org.bhavd.Control1.Nothing","oneway":true}"#));
    assert!(peer.ask(STATUS)["parameters"].get("pid").is_some(), "the first reply answers the third call");
    assert!(matches!(daemon.next_event(), Event::Asked(Request::Feeds, _)));
}

#[test]
fn a_caller_that_only_closes_its_writing_half_is_answered() {
    let daemon = Daemon::start();
    let mut peer = daemon.peer();
    peer.send(format!("{STATUS}\0"));
    peer.stream.shutdown(std::net::Shutdown::Write).expect("a socket");
    assert!(peer.receive().expect("an answer")["parameters"].is_object());
    assert_eq!(peer.receive(), None);
}

/// Small enough to fill.
fn places() -> Limits {
    Limits { connections_max: 4, ..Limits::default() }
}

#[test]
fn one_connection_too_many_is_told_while_all_are_being_answered() {
    let daemon = Daemon::with(places(), true);
    let _busy: Vec<RawPeer> = (0..4).map(|_| RawPeer::busy(&daemon)).collect();
    let refused = || Some(daemon.client().ask(&Request::Status).err()?.to_string());
    let told = refused().expect("no place");
    assert_eq!(told, "the daemon already serves 4 connections; close one and try again");
    assert_eq!(
        daemon.peer().receive().map(|reply| reply["error"].clone()),
        Some(json!("org.bhavd.Control1.TooManyConnections"))
    );
}

#[test]
fn a_newcomer_takes_the_place_of_whoever_came_first() {
    let daemon = Daemon::with(places(), true);
    let mut idle: Vec<RawPeer> = (0..4).map(|_| daemon.peer()).collect();
    assert!(idle.iter_mut().all(RawPeer::is_served));
    assert!(daemon.peer().is_served());
    assert_eq!(idle[0].receive(), None, "the first gave way");
    assert!(idle[1..].iter_mut().all(RawPeer::is_served));
}

#[test]
fn long_answers_are_few_at_once() {
    let daemon = Daemon::with(Limits { long_answers_max: 0, ..Limits::default() }, true);
    let verify = Request::ReplayVerify(ReplayVerifyRequest { date: crate::control_samples::date(29) });
    let error = daemon.client().ask(&verify).expect_err("too many").to_string();
    assert!(error.contains("0 such answers are under way already"), "{error}");
    daemon.client().ask(&Request::Status).expect("others are answered");
}

/// What a hostile crowd sends; nobody of it ever reads.
const HOSTILITIES: [&[u8]; 4] = [
    b"",
    b"{\"method\":\"org.bhavd.Cont",
    b"GET / HTTP/1.1\r\n\r\n\0",
    b"{\"method\":\"org.bhavd.Control1.Status\"}\0",
];

/// Raises this process's limit of open files so far that `connections` fit. Says so where the system allows fewer, and
/// gives how many fit.
fn make_room(connections: usize) -> usize {
    /// The daemon's places, for it runs in this process too, and the files of tests that run beside this one.
    const OTHERS: usize = 1_000;
    let wanted = (connections + OTHERS) as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised up to the hard one");
    }
    let room = limit.current.map_or(connections, |current| {
        usize::try_from(current)
            .map_or(connections, |current| connections.min(current.saturating_sub(OTHERS)))
    });
    if room < connections {
        println!(
            "a crowd of {room} instead of {connections}: the hard limit of open files is {:?} here (ulimit -Hn)",
            limit.maximum
        );
    }
    room
}

/// How the daemon dealt with one of the crowd.
#[derive(Debug, Default)]
struct Dealt {
    /// Got a varlink error, and was cut off.
    told: usize,
    /// Was answered, since it asked, and cut off.
    answered: usize,
    cut_off: usize,
}

impl Dealt {
    /// Waits for the end of one connection.
    fn note(&mut self, peer: UnixStream) {
        let mut peer = RawPeer::of(peer);
        let reply = peer.receive();
        match reply {
            None => self.cut_off += 1,
            Some(reply) => {
                let count = if reply["error"].is_string() { &mut self.told } else { &mut self.answered };
                *count += 1;
                assert_eq!(peer.receive(), None, "one reply and the end");
            }
        }
    }
}

#[test]
fn a_hostile_crowd_of_ten_thousand_shuts_nobody_out_and_each_of_it_is_dealt_with() {
    const CROWD: usize = 10_000;
    let crowd = make_room(CROWD);
    // Those that keep their places to the end are cut off as idle ones.
    let daemon = Daemon::with(Limits { idle: Duration::from_secs(2), ..Limits::default() }, true);
    let socket = daemon.socket();
    let all_are_there = AtomicBool::new(false);
    let (kept, served) = thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            // All of them stay open on this side: what ends them is the daemon.
            let kept: Vec<UnixStream> = (0..crowd)
                .map(|number| {
                    let mut peer = UnixStream::connect(&socket).expect("the socket takes everybody in turn");
                    let _ = peer.write_all(HOSTILITIES[number % HOSTILITIES.len()]);
                    peer
                })
                .collect();
            all_are_there.store(true, Relaxed);
            kept
        });
        let mut served = 0;
        while !all_are_there.load(Relaxed) || served == 0 {
            // One that loses its place before its call was read asks again, as bhavctl does.
            let answered = (0..100).any(|_| daemon.client().ask(&Request::Feeds).is_ok());
            assert!(answered, "shut out after {served} answers");
            served += 1;
        }
        (crowd.join().expect("no panic"), served)
    });
    assert!(daemon.peer().is_served(), "while they are all there");
    let mut dealt = Dealt::default();
    kept.into_iter().for_each(|peer| dealt.note(peer));
    assert_eq!(dealt.told + dealt.answered + dealt.cut_off, crowd, "{dealt:?}");
    // A quarter sends garbage, a quarter asks; of these some lost their places before they were heard.
    assert!(dealt.told > 0, "{dealt:?}");
    assert!(dealt.answered > 0 && dealt.answered <= crowd.div_ceil(4), "{dealt:?}");
    println!("{crowd} hostile connections: {dealt:?}; {served} answers to others meanwhile");
    assert!(daemon.peer().is_served());
}

#[test]
fn an_idle_connection_is_closed() {
    let limits = Limits { idle: Duration::from_millis(20), ..Limits::default() };
    let daemon = Daemon::with(limits, true);
    assert_eq!(daemon.peer().receive(), None);
    let mut half = daemon.peer();
    half.send("{");
    assert_eq!(half.receive(), None);
}

#[test]
fn a_watcher_that_never_reads_is_cut_off_and_slows_nobody() {
    let limits = Limits { write: Duration::from_millis(200), ..Limits::default() };
    let daemon = Daemon::with(limits, true);
    let mut deaf = daemon.peer();
    let watch = Request::Watch(WatchRequest { underlying: Some(FLOOD.to_owned()) });
    deaf.send(encode_frame(&Call::of(&watch)));
    assert!(matches!(daemon.next_event(), Event::Asked(Request::Watch(_), _)));
    let mut client = daemon.client();
    loop {
        client.ask(&Request::Feeds).expect("others are answered meanwhile");
        match daemon.next_event() {
            Event::Asked(..) => {}
            Event::Unwatched => break,
        }
    }
    client.ask(&Request::Feeds).expect("others are answered afterwards");
}
