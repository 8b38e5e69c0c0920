use super::*;
use crate::{
    actor::Policy,
    clock::Simulation,
    node::{failover, held_order},
    pipeline::PipelineSettings,
    spool::{Frames, Source, SpoolReader},
};
use std::{future::pending, slice};

/// All marks of a day but its rules, which are the first.
fn logged_marks(directory: &std::path::Path, date: TradingDate) -> Vec<Mark> {
    let records = SpoolReader::open(directory, date).expect("the day");
    let records = records.map(|record| record.expect("a record"));
    let marks = records.filter(|record| record.source == Source::MARK);
    let mut marks: Vec<Mark> =
        marks.map(|record| serde_json::from_slice(record.frames.bytes()).expect("a mark")).collect();
    if date > day(28) {
        let rules = Mark::Rules { rules: PipelineSettings::of_tests().rules(date) };
        assert_eq!(marks.remove(0), rules, "a day's log begins with its rules");
    }
    marks
}

fn day(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
}

fn noon(date: TradingDate) -> Timestamp {
    Timestamp::on(date, chrono::NaiveTime::MIN).plus_seconds(43_200)
}

fn rules() -> RunningRules {
    RunningRules::new(PipelineSettings::of_tests(), day(28), None, Timestamp::NEVER)
}

/// An intake at noon of 29 January, with room for so many records.
fn simulated_intake(directory: &std::path::Path, records_max: usize) -> (Intake, Port<Record>) {
    let simulation = Simulation { start: noon(day(29)), real_start: clock::real_now(), speed: 1.0 };
    let spool = Spool::open(directory).expect("a log").spool;
    let beginning = Beginning { date: day(28), forced: None };
    let port = Port::new("records", records_max, Policy::Wait);
    let clock = Clock::simulated(simulation);
    (Intake::new(spool, beginning, rules(), port.clone(), clock, Arc::default()), port)
}

fn lots(date: TradingDate) -> NewRecord {
    NewRecord {
        source: Source::NSE_LOTS,
        received_time: noon(date),
        context: String::new(),
        frames: Frames::one(b"lots"),
    }
}

#[tokio::test]
async fn a_days_log_begins_with_the_order_that_holds_and_with_who_is_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, _port) = simulated_intake(directory, 100);
    let sink = intake.sink(&Lease::detached("test"));
    let (order, up) = (Mark::failover(Some(Provider::Nse)), Mark::feed_up(Provider::AngelOne));
    sink.mark(order.clone()).await.expect("accepted");
    sink.mark(up.clone()).await.expect("accepted");
    sink.accept(lots(day(30))).await.expect("accepted");
    assert_eq!(sink.forced(), Some(Provider::Nse));
    assert_eq!(logged_marks(directory, day(30)), [order, up.clone()]);
    sink.put(NewRecord::mark(noon(day(30)), &Mark::failover(None)), Some(&Mark::failover(None)))
        .await
        .expect("accepted");
    sink.accept(lots(day(31))).await.expect("accepted");
    assert_eq!(logged_marks(directory, day(31)), [up], "nobody is forced");
}

#[tokio::test]
async fn an_order_that_nobody_waits_for_any_more_is_kept_if_the_log_says_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    // The order takes the last free place, and what is to be said after a full disk must wait behind it.
    let (intake, port) = simulated_intake(directory, 6);
    let sink = intake.sink(&Lease::detached("test"));
    sink.mark(Mark::feed_up(P)).await.expect("accepted");
    for _ in 0..2 {
        sink.accept(lots(day(29))).await.expect("accepted");
    }
    intake.log().full = Some(Full { since: noon(day(29)), told: [P].into() });
    tokio::select! {
        biased;
        ordered = failover::order(&sink, directory, Some(Provider::Nse)) => panic!("it does not wait: {ordered:?}"),
        () = tokio::task::yield_now() => {}
    }
    let last = logged_marks(directory, day(29)).pop();
    assert_eq!((last, sink.forced()), (Some(Mark::failover(Some(Provider::Nse))), Some(Provider::Nse)));
    assert_eq!(held_order::read(directory), Some(Provider::Nse));
    // One that does not reach the log is not kept.
    tokio::select! {
        biased;
        ordered = failover::order(&sink, directory, None) => panic!("it does not wait: {ordered:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!((sink.forced(), port.gauge().snapshot().depth), (Some(Provider::Nse), 5));
    assert_eq!(held_order::read(directory), Some(Provider::Nse));
}

#[tokio::test]
async fn streams_that_are_lost_are_said_again_before_their_provider() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, _port) = simulated_intake(directory, 100);
    let sink = intake.sink(&Lease::detached("test"));
    let down = |stream| Mark::stream_down(Provider::AngelOne, stream, "E1002");
    let up = Mark::feed_up(Provider::AngelOne);
    for mark in [up.clone(), down(0), down(1), Mark::stream_up(Provider::AngelOne, 0)] {
        sink.mark(mark).await.expect("accepted");
    }
    sink.accept(lots(day(30))).await.expect("accepted");
    assert_eq!(logged_marks(directory, day(30)), [down(1), up.clone()]);
    sink.mark(Mark::feed_down(Provider::AngelOne, "x")).await.expect("accepted");
    sink.mark(up.clone()).await.expect("accepted");
    sink.accept(lots(day(31))).await.expect("accepted");
    assert_eq!(
        logged_marks(directory, day(31)),
        slice::from_ref(&up),
        "an outage ends what was said of streams"
    );
}

#[tokio::test]
async fn parts_that_are_down_are_said_again_before_their_provider() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, _port) = simulated_intake(directory, 100);
    let sink = intake.sink(&Lease::detached("test"));
    let down = |part: &str| Mark::part_down(Provider::Nse, part, "404");
    let up = Mark::feed_up(Provider::Nse);
    for mark in [down("symbol=A"), down("symbol=B"), up.clone(), Mark::part_up(Provider::Nse, "symbol=A")] {
        sink.mark(mark).await.expect("accepted");
    }
    sink.accept(lots(day(30))).await.expect("accepted");
    assert_eq!(logged_marks(directory, day(30)), [down("symbol=B"), up.clone()]);
    let clock = sink.complete(Mark::clock([]));
    assert_eq!(clock, Mark::clock([]).with_parts_down([(Provider::Nse, "symbol=B".to_owned())]));
    sink.mark(Mark::feed_down(Provider::Nse, "x")).await.expect("accepted");
    sink.mark(up.clone()).await.expect("accepted");
    sink.accept(lots(day(31))).await.expect("accepted");
    assert_eq!(
        logged_marks(directory, day(31)),
        slice::from_ref(&up),
        "an outage ends what was said of parts"
    );
    // An incarnation that broke off before it was up leaves nothing behind.
    sink.mark(Mark::feed_down(Provider::Nse, "x")).await.expect("accepted");
    sink.mark(down("symbol=C")).await.expect("accepted");
    intake.admit(Provider::Nse, &Lease::detached("feeds/nse")).await.expect("admitted");
    let last = logged_marks(directory, day(31)).pop();
    assert_eq!(last, Some(Mark::part_up(Provider::Nse, "symbol=C")));
}

#[tokio::test]
async fn a_day_begins_before_it_tells_who_broke_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, _port) = simulated_intake(directory, 100);
    let (order, up) = (Mark::failover(Some(Provider::Nse)), Mark::feed_up(P));
    let is_whole = |marks: &[Mark]| matches!(marks, [first, second, Mark::FeedDown { .. }] if *first == order && *second == up);
    // A feed of the day before is followed today.
    let sink = intake.sink(&Lease::detached("test"));
    for mark in [&order, &up] {
        sink.put(NewRecord::mark(noon(day(28)), mark), Some(mark)).await.expect("accepted");
    }
    let (feed, vigil) = intake.admit(P, &Lease::detached("feeds/angel_one")).await.expect("admitted");
    let marks = logged_marks(directory, day(29));
    assert!(is_whole(&marks), "{marks:?}");
    // The next one ends, and the first record of the next day tells it.
    feed.mark(up.clone()).await.expect("accepted");
    vigil.keep(std::future::ready(())).await;
    sink.accept(lots(day(30))).await.expect("accepted");
    let marks = logged_marks(directory, day(30));
    assert!(is_whole(&marks), "{marks:?}");
}

#[tokio::test]
async fn a_day_whose_beginning_was_given_up_begins_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, port) = simulated_intake(directory, 10);
    let sink = intake.sink(&Lease::detached("test"));
    let (order, up) = (Mark::failover(Some(Provider::Nse)), Mark::feed_up(P));
    sink.mark(order.clone()).await.expect("accepted");
    sink.mark(up.clone()).await.expect("accepted");
    let is_full = async || {
        tokio::select! {
            biased;
            accepted = sink.accept(lots(day(29))) => accepted.map(|()| false).expect("accepted"),
            () = tokio::task::yield_now() => true,
        }
    };
    while !is_full().await {}
    tokio::select! {
        biased;
        _ = sink.accept(lots(day(30))) => unreachable!("the port is full"),
        () = tokio::task::yield_now() => {}
    }
    marks(&port).await;
    sink.accept(lots(day(30))).await.expect("accepted");
    assert_eq!(logged_marks(directory, day(30)), [order, up]);
}

const P: Provider = Provider::AngelOne;

/// An intake, and what it hands on.
fn intake(directory: &std::path::Path) -> (Intake, Port<Record>) {
    let spool = Spool::open(directory).expect("opens").spool;
    let port = Port::new("records", 100, Policy::Wait);
    let clock = Clock::system();
    let beginning = Beginning { date: clock.now().date_ist(), forced: None };
    (Intake::new(spool, beginning, rules(), port.clone(), clock, Arc::default()), port)
}

/// The marks handed on since the last look, with their times.
async fn marks(port: &Port<Record>) -> Vec<(Timestamp, Mark)> {
    let mut consumer = port.consumer(&Lease::detached("recorder"));
    let taken = consumer.drain(100).await.expect("records");
    let of_marks = taken.items().iter().filter(|record| record.source == Source::MARK);
    let read = |record: &Record| {
        let mark = serde_json::from_slice(record.frames.bytes()).expect("a mark");
        (record.received_time, mark)
    };
    let marks = of_marks.map(read).collect();
    taken.done();
    marks
}

/// The instant since which a mark says that the feed was not watching.
fn since(mark: &Mark) -> Timestamp {
    match mark {
        Mark::FeedDown { since_us: Some(us), .. } => Timestamp::from_us(*us),
        other => panic!("{other:?} does not say since when a feed is down"),
    }
}

#[tokio::test]
async fn a_feed_that_broke_off_is_told_before_time_passes() {
    let directory = tempfile::tempdir().expect("a directory");
    let (intake, port) = intake(directory.path());
    let timekeeper = intake.sink(&Lease::detached("timekeeper"));
    let (feed, vigil) = intake.admit(P, &Lease::detached("feeds/angel_one")).await.expect("admitted");
    feed.mark(Mark::feed_up(P)).await.expect("accepted");
    timekeeper.mark(Mark::clock([])).await.expect("accepted");
    let told = marks(&port).await;
    let [(_, Mark::FeedUp { .. }), (at, Mark::Clock { watched_until_us, .. })] = &told[..] else {
        panic!("{told:?}")
    };
    let told_us = watched_until_us["angel_one"];
    assert!(told_us == vigil.watched_until().as_us() && told_us <= at.as_us(), "{told:?}");

    // It hangs, and is given up.
    let hung = vigil.keep(pending::<()>());
    drop(hung);
    assert!(!vigil.is_over(), "a work that was never polled has not ended");
    tokio::select! {
        biased;
        () = vigil.keep(pending()) => unreachable!("it is pending"),
        () = tokio::task::yield_now() => {}
    }
    assert!(vigil.is_over());
    let watched = vigil.watched_until();
    timekeeper.mark(Mark::clock([])).await.expect("accepted");
    timekeeper.mark(Mark::clock([])).await.expect("accepted");
    let told = marks(&port).await;
    let [(at, down), (_, Mark::Clock { .. }), (_, Mark::Clock { watched_until_us, .. })] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(since(down) == watched && watched <= *at, "{told:?}");
    assert!(watched_until_us.is_empty(), "nobody watches: {told:?}");

    // The next incarnation has nothing more to tell.
    let (feed, _) = intake.admit(P, &Lease::detached("feeds/angel_one")).await.expect("admitted");
    feed.mark(Mark::feed_up(P)).await.expect("accepted");
    let told = marks(&port).await;
    assert!(matches!(&told[..], [(_, Mark::FeedUp { .. })]), "{told:?}");
    // One that is not found out before it is followed is told by its follower.
    intake.admit(P, &Lease::detached("feeds/angel_one")).await.expect("admitted");
    let told = marks(&port).await;
    assert!(matches!(&told[..], [(_, Mark::FeedDown { .. })]), "{told:?}");
}

#[tokio::test]
async fn a_feed_knows_of_its_end_what_its_vigil_knows() {
    let directory = tempfile::tempdir().expect("a directory");
    let (intake, port) = intake(directory.path());
    let (feed, vigil) = intake.admit(P, &Lease::detached("feeds/angel_one")).await.expect("admitted");
    let watched = vigil.watched_until();
    feed.mark(Mark::feed_up(P)).await.expect("accepted");
    feed.mark(Mark::feed_down(P, "x")).await.expect("accepted");
    feed.mark(Mark::feed_up(P)).await.expect("accepted");
    let earlier = watched.plus_seconds(-3);
    feed.mark(Mark::feed_down(P, "x").since(earlier)).await.expect("accepted");
    let told = marks(&port).await;
    let [_, (_, first), _, (_, second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((since(first), since(second)), (watched, earlier));
}

#[tokio::test]
async fn a_record_too_large_for_the_log_costs_only_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (intake, port) = simulated_intake(directory, 100);
    let (feed, _vigil) = intake.admit(Provider::Nse, &Lease::detached("feeds/nse")).await.expect("admitted");
    feed.mark(Mark::feed_up(Provider::Nse)).await.expect("accepted");
    let too_large = NewRecord { frames: Frames::from(vec![0; 256 << 20]), ..lots(day(29)) };
    let too_much_asked = NewRecord { context: "x".repeat(1 << 16), ..lots(day(29)) };
    for record in [too_large, too_much_asked] {
        feed.accept(record).await.expect("the feed goes on");
        feed.accept(lots(day(29))).await.expect("accepted");
    }
    let problem = intake.status.spool.not_kept().expect("a problem");
    assert!(problem.starts_with("2 records") && problem.contains("65536"), "{problem}");
    assert_eq!(intake.status.spool.trouble(), None, "the log takes everything else");
    let records = SpoolReader::open(directory, day(29)).expect("the day");
    let kinds: Vec<Source> = records.map(|record| record.expect("a sound record").source).collect();
    let round = [Source::MARK, Source::MARK, Source::NSE_LOTS];
    assert_eq!(kinds, [&[Source::MARK; 2][..], &round, &round].concat());
    assert_eq!(port.gauge().snapshot().accepted, 8);
    let up = Mark::feed_up(Provider::Nse);
    let is_down = |mark: &Mark| matches!(mark, Mark::FeedDown { since_us: Some(_), .. });
    let marks = logged_marks(directory, day(29));
    assert!(marks[0] == up && is_down(&marks[1]) && marks[2] == up, "{marks:?}");
}
