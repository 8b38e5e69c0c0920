//! The tree with toy children. Virtual time where one thread is enough.

mod endings;
mod hangs;
mod poison;
mod schedules;

use super::{arbiters::Arbiters, *};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use std::{
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

const QUIET: TreeOptions =
    TreeOptions { seed: 7, drain_within: Duration::from_secs(60), follow_signals: false, zombies_max: 4 };

/// Runs `work` in an actix system whose time jumps to the next timer when nothing else is to do.
fn in_virtual_time<Work: Future>(work: Work) -> Work::Output {
    actix::System::new().block_on(async {
        tokio::time::pause();
        work.await
    })
}

async fn drive(tree: &Tree, root: SupervisorSpec) -> TreeExit {
    tree.drive(root, QUIET, Arbiters::calling_thread()).await.expect("no signals to listen for")
}

fn steady() -> Backoff {
    Backoff { jitter: 0.0, ..Backoff::default() }
}

/// What children did, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().expect("not poisoned").push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

/// Notes its start and waits to be stopped.
fn idler(name: &'static str, diary: &Diary) -> ChildSpec {
    let diary = diary.clone();
    ChildSpec::new(name, move |lease| {
        let diary = diary.clone();
        async move {
            diary.note(format!("{name} starts {}", lease.incarnation()));
            let signal = lease.stopping().await;
            diary.note(format!("{name} stops by {signal:?}"));
            Ok(())
        }
    })
}

/// Fails with an error while its incarnation is at most `failures`, then waits to be stopped.
fn failer(name: &'static str, failures: u64, diary: &Diary) -> ChildSpec {
    let diary = diary.clone();
    ChildSpec::new(name, move |lease| {
        let diary = diary.clone();
        async move {
            diary.note(format!("{name} starts {}", lease.incarnation()));
            if lease.incarnation() <= failures {
                return Err("the toy broke".into());
            }
            lease.stopping().await;
            Ok(())
        }
    })
}

/// Handles the numbers of a port in order; panics before handling `panics_at` in its first incarnation.
fn counter(port: &Port<u32>, handled: &Arc<Mutex<Vec<u32>>>, panics_at: Option<u32>) -> ChildSpec {
    let (port, handled) = (port.clone(), Arc::clone(handled));
    let gauge = port.gauge();
    let child = ChildSpec::new("counter", move |lease| {
        let (port, handled) = (port.clone(), Arc::clone(&handled));
        async move {
            let mut consumer = port.consumer(&lease);
            while let Some(batch) = consumer.drain(4).await {
                while let Some(&number) = batch.items().first() {
                    assert!(lease.incarnation() > 1 || Some(number) != panics_at, "number {number} hurts");
                    handled.lock().expect("not poisoned").push(number);
                    batch.handled(1);
                }
                batch.done();
            }
            Ok(())
        }
    });
    child.restart(Restart::Transient).port(gauge)
}

#[test]
fn a_panic_restarts_the_child_and_keeps_its_queue() {
    const { assert!(cfg!(panic = "unwind"), "supervision needs unwinding") };
    install_panic_hook();
    in_virtual_time(async {
        let port = Port::new("numbers", 100, Policy::Wait);
        let producer = port.producer(&Lease::detached("test"));
        for number in 0..10 {
            producer.offer(number).expect("room for ten");
        }
        port.close();
        let handled = Arc::default();
        let root = SupervisorSpec::new("root", Strategy::OneForOne);
        let tree = Tree::new();
        let exit = drive(&tree, root.child(counter(&port, &handled, Some(6)))).await;
        assert_eq!(exit, TreeExit { end: TreeEnd::Finished, threads_left: 0 });
        assert_eq!(*handled.lock().expect("not poisoned"), (0..10).collect::<Vec<u32>>());
        let snapshot = tree.snapshot();
        let row = snapshot.row("counter").expect("the counter's row");
        assert_eq!((row.incarnation, row.restarts, row.state), (2, 1, ChildState::Stopped));
        assert_eq!(row.parent.as_deref(), Some("root"));
        assert_eq!((row.ports[0].accepted, row.ports[0].redelivered, row.ports[0].depth), (10, 1, 0));
        assert_eq!(row.ports[0].oldest_age, None);
    });
}

#[test]
fn a_panic_is_known_by_its_words_and_place() {
    install_panic_hook();
    in_virtual_time(async {
        let toy = ChildSpec::new("toy", |_| async { panic!("the toy broke") }).restart(Restart::Temporary);
        let tree = Tree::new();
        drive(&tree, SupervisorSpec::new("root", Strategy::OneForOne).child(toy)).await;
        let snapshot = tree.snapshot();
        let row = snapshot.row("toy").expect("the toy's row");
        assert_eq!(row.state, ChildState::Failed);
        let Some(ExitReason::Panic(text)) = &row.last_exit else { panic!("{:?}", row.last_exit) };
        assert!(text.starts_with("the toy broke at src/actor/tests/mod.rs:"), "{text}");
    });
}

#[test]
fn errors_restart_after_growing_delays() {
    in_virtual_time(async {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&starts);
        let toy = ChildSpec::new("toy", move |lease| {
            noted.lock().expect("not poisoned").push(Instant::now());
            async move { if lease.incarnation() < 5 { Err("the toy broke".into()) } else { Ok(()) } }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .backoff(steady())
            .child(toy.restart(Restart::Transient));
        assert_eq!(drive(&Tree::new(), root).await.end, TreeEnd::Finished);
        let starts = starts.lock().expect("not poisoned");
        let waits: Vec<u128> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        // The timer's resolution is a millisecond, rounded up.
        for (wait, wanted) in waits.iter().zip([50, 100, 200, 400]) {
            assert!((wanted..=wanted + 2).contains(wait), "{waits:?}");
        }
        assert_eq!(waits.len(), 4);
    });
}

#[test]
fn whether_a_child_is_restarted_follows_its_kind() {
    in_virtual_time(async {
        let starts_of = async |restart: Restart, fails: bool| {
            let starts = Arc::new(Mutex::new(0));
            let noted = Arc::clone(&starts);
            let toy = ChildSpec::new("toy", move |_| {
                *noted.lock().expect("not poisoned") += 1;
                async move { if fails { Err("the toy broke".into()) } else { Ok(()) } }
            });
            let root = SupervisorSpec::new("root", Strategy::OneForOne)
                .intensity(1, Duration::from_secs(60))
                .child(toy.restart(restart));
            drive(&Tree::new(), root).await;
            *starts.lock().expect("not poisoned")
        };
        assert_eq!(starts_of(Restart::Permanent, false).await, 2);
        assert_eq!(starts_of(Restart::Permanent, true).await, 2);
        assert_eq!(starts_of(Restart::Transient, false).await, 1);
        assert_eq!(starts_of(Restart::Transient, true).await, 2);
        assert_eq!(starts_of(Restart::Temporary, true).await, 1);
    });
}

#[test]
fn rest_for_one_takes_the_younger_siblings_along() {
    in_virtual_time(async {
        let diary = Diary::default();
        let root = SupervisorSpec::new("root", Strategy::RestForOne)
            .child(idler("elder", &diary))
            .child(failer("middle", 1, &diary))
            .child(idler("younger", &diary))
            .child(idler("youngest", &diary));
        let tree = Tree::new();
        let stopper = tree.clone();
        actix::Arbiter::current().spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stopper.drain(Duration::from_secs(10));
        });
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert_eq!(
            diary.lines(),
            [
                "elder starts 1",
                "middle starts 1",
                "younger starts 1",
                "youngest starts 1",
                "youngest stops by Restart",
                "younger stops by Restart",
                "middle starts 2",
                "younger starts 2",
                "youngest starts 2",
                "youngest stops by Drain",
                "younger stops by Drain",
                "elder stops by Drain",
            ]
        );
    });
}

#[test]
fn too_many_failures_go_upward_and_end_the_tree() {
    in_virtual_time(async {
        let diary = Diary::default();
        let group = SupervisorSpec::new("group", Strategy::OneForOne)
            .intensity(2, Duration::from_secs(60))
            .child(failer("broken", u64::MAX, &diary))
            .child(idler("sibling", &diary));
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .intensity(1, Duration::from_secs(300))
            .child(idler("outer", &diary))
            .supervisor(group);
        let tree = Tree::new();
        let TreeEnd::Escalated(reason) = drive(&tree, root).await.end else { panic!("no escalation") };
        assert!(reason.contains("gave up after 1 restarts"), "{reason}");
        assert!(reason.contains("group/broken failed: the toy broke"), "{reason}");
        let lines = diary.lines();
        assert_eq!(lines.iter().filter(|line| line.starts_with("broken starts")).count(), 6);
        assert_eq!(lines.iter().filter(|line| line.starts_with("sibling starts")).count(), 2);
        assert_eq!(lines.iter().filter(|line| *line == "sibling stops by Restart").count(), 2);
        assert_eq!(lines.last().map(String::as_str), Some("outer stops by Drain"));
        let snapshot = tree.snapshot();
        assert_eq!(snapshot.row("root").expect("a row").state, ChildState::Failed);
        assert_eq!(snapshot.row("group").expect("a row").state, ChildState::Failed);
        assert_eq!(snapshot.row("group/sibling").expect("a row").parent.as_deref(), Some("group"));
    });
}

/// Starts are in the order of the spec and wait for nobody; a group's children follow when it runs. Ends are in reverse
/// order, and each waits for the one before it.
#[test]
fn children_start_from_first_to_last_and_end_from_last_to_first() {
    in_virtual_time(async {
        let diary = Diary::default();
        // Each stops a while after it was asked, the earlier ones in less: without order the diary would be another.
        let slow = |name: &'static str, stops_after_ms: u64| {
            let diary = diary.clone();
            ChildSpec::new(name, move |lease| {
                let diary = diary.clone();
                async move {
                    diary.note(format!("{name} starts"));
                    // Not up yet; the next one does not wait for it.
                    lease.stopping().await;
                    diary.note(format!("{name} is asked"));
                    tokio::time::sleep(Duration::from_millis(stops_after_ms)).await;
                    diary.note(format!("{name} ends"));
                    Ok(())
                }
            })
        };
        let group = SupervisorSpec::new("group", Strategy::OneForOne)
            .child(slow("inner", 10))
            .child(slow("inmost", 40));
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .child(slow("first", 5))
            .supervisor(group)
            .child(slow("last", 80));
        let tree = Tree::new();
        let stopper = tree.clone();
        actix::Arbiter::current().spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stopper.drain(Duration::from_secs(10));
        });
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert_eq!(
            diary.lines(),
            [
                "first starts",
                "last starts",
                "inner starts",
                "inmost starts",
                "last is asked",
                "last ends",
                "inmost is asked",
                "inmost ends",
                "inner is asked",
                "inner ends",
                "first is asked",
                "first ends",
            ]
        );
    });
}

/// Takes from one port, hands on to the next, notes its end.
fn stage(
    name: &'static str,
    from: &Port<u32>,
    hand_on: impl FnMut(u32) + Clone + Send + Sync + 'static,
    diary: &Diary,
) -> ChildSpec {
    let (from, diary) = (from.clone(), diary.clone());
    ChildSpec::new(name, move |lease| {
        let (from, diary, mut hand_on) = (from.clone(), diary.clone(), hand_on.clone());
        async move {
            let mut consumer = from.consumer(&lease);
            while let Some(batch) = consumer.drain(16).await {
                // Slow enough that items pile up before it.
                tokio::time::sleep(Duration::from_millis(5)).await;
                batch.items().iter().for_each(|number| hand_on(*number));
                batch.done();
            }
            diary.note(format!("{name} ends"));
            Ok(())
        }
    })
}

#[test]
fn a_drain_stops_in_reverse_order_and_handles_what_is_queued() {
    in_virtual_time(async {
        let diary = Diary::default();
        let (to_pipeline, to_persist) =
            (Port::new("pipeline", 100, Policy::Wait), Port::new("persist", 10_000, Policy::Wait));
        let persisted = Arc::new(Mutex::new(Vec::new()));
        let rows = Arc::clone(&persisted);
        let persist =
            stage("persist", &to_persist, move |row| rows.lock().expect("not poisoned").push(row), &diary);
        let out = to_persist.producer(&Lease::detached("pipeline"));
        let pipeline =
            stage("pipeline", &to_pipeline, move |row| out.offer(row).expect("room for all"), &diary);
        let produced = Arc::new(Mutex::new(0));
        let (count, intake, feed_diary) = (Arc::clone(&produced), to_pipeline.clone(), diary.clone());
        let feed = ChildSpec::new("feed", move |lease| {
            let (count, intake, diary) = (Arc::clone(&count), intake.producer(&lease), feed_diary.clone());
            async move {
                while !lease.is_stopping() {
                    let next = *count.lock().expect("not poisoned");
                    intake.push(next).await?;
                    *count.lock().expect("not poisoned") += 1;
                }
                diary.note("feed ends");
                Ok(())
            }
        });
        let root =
            SupervisorSpec::new("root", Strategy::OneForOne).child(persist).child(pipeline).child(feed);
        let tree = Tree::new();
        let stopper = tree.clone();
        actix::Arbiter::current().spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            stopper.drain(Duration::from_secs(10));
        });
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert_eq!(diary.lines(), ["feed ends", "pipeline ends", "persist ends"]);
        let produced = *produced.lock().expect("not poisoned");
        assert!(produced > 100, "the feed filled the port: {produced}");
        assert_eq!(*persisted.lock().expect("not poisoned"), (0..produced).collect::<Vec<u32>>());
    });
}

#[test]
fn a_child_that_does_not_stop_is_aborted_after_its_grace() {
    in_virtual_time(async {
        let diary = Diary::default();
        let deaf = ChildSpec::new("deaf", |_| pending()).grace(Duration::from_secs(3));
        let root = SupervisorSpec::new("root", Strategy::OneForOne).child(idler("elder", &diary)).child(deaf);
        let tree = Tree::new();
        tree.drain(Duration::from_secs(60));
        let began = Instant::now();
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert_eq!(began.elapsed().as_secs(), 3);
        assert_eq!(tree.snapshot().row("deaf").expect("a row").last_exit, Some(ExitReason::Aborted));
        assert_eq!(diary.lines().last().map(String::as_str), Some("elder stops by Drain"));
    });
}

#[test]
fn a_drain_past_its_deadline_ends_the_tree() {
    in_virtual_time(async {
        let deaf = ChildSpec::new("deaf", |_| pending()).grace(Duration::from_secs(300));
        let tree = Tree::new();
        tree.drain(Duration::from_secs(2));
        let root = SupervisorSpec::new("root", Strategy::OneForOne).child(deaf);
        assert_eq!(drive(&tree, root).await.end, TreeEnd::DrainTimedOut);
    });
}

#[test]
fn what_was_kept_is_handed_over_unless_the_incarnation_panicked() {
    install_panic_hook();
    in_virtual_time(async {
        let diary = Diary::default();
        let keep = Keep::default();
        let noted = diary.clone();
        let toy = ChildSpec::new("toy", move |lease| {
            let (keep, diary) = (keep.clone(), noted.clone());
            async move {
                let total = keep.take().unwrap_or(0) + 1;
                diary.note(format!("{total}"));
                assert!(lease.incarnation() != 3, "the toy broke");
                keep.put(total);
                if lease.incarnation() < 5 { Err("again".into()) } else { Ok(()) }
            }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne).child(toy.restart(Restart::Transient));
        assert_eq!(drive(&Tree::new(), root).await.end, TreeEnd::Finished);
        assert_eq!(diary.lines(), ["1", "2", "3", "1", "2"]);
    });
}

#[test]
fn a_blocked_thread_is_given_up_and_the_others_are_joined() {
    let (release, blocked_until) = std::sync::mpsc::channel::<()>();
    let blocked_until = Arc::new(Mutex::new(blocked_until));
    let diary = Diary::default();
    let tree = Tree::new();
    let stopper = tree.clone();
    let blocked = ChildSpec::new("blocked", move |_| {
        let (blocked_until, stopper) = (Arc::clone(&blocked_until), stopper.clone());
        async move {
            stopper.drain(Duration::from_secs(30));
            // Ends with an error when the test drops the sender.
            let _ = blocked_until.lock().expect("not poisoned").recv();
            Ok(())
        }
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .child(idler("io", &diary))
        .child(idler("compute", &diary).placement(Placement::Compute))
        .child(idler("control", &diary).placement(Placement::Control))
        .child(blocked.placement(Placement::Own).grace(Duration::from_millis(10)));
    let exit = tree.run(root, QUIET).expect("no signals to listen for");
    assert_eq!(exit, TreeExit { end: TreeEnd::Drained, threads_left: 1 });
    assert_eq!(diary.lines().iter().filter(|line| line.ends_with("stops by Drain")).count(), 3);
    let snapshot = tree.snapshot();
    let row = snapshot.row("blocked").expect("a row");
    assert_eq!((row.incarnation, row.exits.blocked), (1, 1));
    assert_eq!(snapshot.zombies_total, 1);
    drop(release);
}

#[test]
fn signals_drain_and_a_second_one_aborts() {
    let raise = || {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .expect("may signal itself");
    };
    let options = TreeOptions { follow_signals: true, ..QUIET };
    let polite = ChildSpec::new("polite", move |lease| async move {
        raise();
        lease.stopping().await;
        Ok(())
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne).child(polite);
    assert_eq!(Tree::new().run(root, options).expect("signals").end, TreeEnd::Drained);

    let deaf = ChildSpec::new("deaf", move |lease| async move {
        raise();
        lease.stopping().await;
        raise();
        pending().await
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne).child(deaf);
    assert_eq!(Tree::new().run(root, options).expect("signals").end, TreeEnd::Aborted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the incarnations die of and wherever they die between two items, each item is handled once, in order.
    #[test]
    fn no_item_is_lost_or_handled_twice(
        items in 1_u32..60,
        capacity in 1_usize..20,
        max in 1_usize..10,
        deaths in prop::collection::vec((0_usize..12, any::<bool>()), 0..12),
    ) {
        install_panic_hook();
        let handled = in_virtual_time(async move {
            let port = Port::new("numbers", capacity, Policy::Wait);
            let handled = Arc::new(Mutex::new(Vec::new()));
            let (from, seen) = (port.clone(), Arc::clone(&handled));
            let consumer = ChildSpec::new("consumer", move |lease| {
                let (port, seen) = (from.clone(), Arc::clone(&seen));
                let death = deaths.get(lease.incarnation() as usize - 1).copied();
                async move {
                    let mut consumer = port.consumer(&lease);
                    let mut left = death.map(|(after, _)| after);
                    while let Some(batch) = consumer.drain(max).await {
                        while let Some(&number) = batch.items().first() {
                            if left == Some(0) {
                                assert!(death.is_none_or(|(_, panics)| !panics), "planned");
                                return Err("planned".into());
                            }
                            left = left.map(|count| count - 1);
                            seen.lock().expect("not poisoned").push(number);
                            batch.handled(1);
                            tokio::task::yield_now().await;
                        }
                        batch.done();
                    }
                    Ok(())
                }
            });
            let to = port.clone();
            let producer = ChildSpec::new("producer", move |lease| {
                let port = to.clone();
                async move {
                    let producer = port.producer(&lease);
                    let mut numbers: Vec<u32> = (0..items).collect();
                    producer.push_all(&mut numbers).await?;
                    port.close();
                    Ok(())
                }
            });
            let root = SupervisorSpec::new("root", Strategy::OneForOne)
                .intensity(100, Duration::from_secs(60))
                .child(consumer.restart(Restart::Transient))
                .child(producer.restart(Restart::Temporary));
            let exit = drive(&Tree::new(), root).await;
            assert_eq!(exit.end, TreeEnd::Finished);
            let handled = handled.lock().expect("not poisoned");
            handled.clone()
        });
        prop_assert_eq!(handled, (0..items).collect::<Vec<u32>>());
    }
}
