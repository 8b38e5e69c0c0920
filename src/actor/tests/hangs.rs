//! Children that show no sign of life, and threads that do not come back.

use super::*;
use std::sync::{
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    mpsc,
};

const HEARTBEAT: Duration = Duration::from_millis(400);

/// Stops the tree once `is_reached` says so; looks every millisecond.
fn stop_when(tree: &Tree, is_reached: impl Fn(&TreeSnapshot) -> bool + Send + 'static) {
    let tree = tree.clone();
    actix::Arbiter::current().spawn(async move {
        while !is_reached(&tree.snapshot()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tree.drain(Duration::from_secs(10));
    });
}

fn exits(tree: &Tree, path: &str) -> Exits {
    tree.snapshot().row(path).expect("a row").exits
}

#[test]
fn an_async_hang_is_aborted_and_what_was_in_hand_is_handled() {
    in_virtual_time(async {
        let port = Port::new("numbers", 100, Policy::Wait);
        port.producer(&Lease::detached("test")).offer_all(&mut (0..10).collect()).expect("room");
        port.close();
        let handled: Arc<Mutex<Vec<u32>>> = Arc::default();
        let (from, seen) = (port.clone(), Arc::clone(&handled));
        let starts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&starts);
        let toy = ChildSpec::new("toy", move |lease| {
            let (port, seen) = (from.clone(), Arc::clone(&seen));
            noted.lock().expect("not poisoned").push(Instant::now());
            async move {
                let mut consumer = port.consumer(&lease);
                while let Some(mut batch) = consumer.drain(4).await {
                    while let Some(&number) = batch.next() {
                        if number == 6 && lease.incarnation() == 1 {
                            pending::<()>().await;
                        }
                        seen.lock().expect("not poisoned").push(number);
                    }
                    batch.done();
                }
                Ok(())
            }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .backoff(steady())
            .child(toy.restart(Restart::Transient).heartbeat(HEARTBEAT));
        let tree = Tree::new();
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Finished);
        assert_eq!(*handled.lock().expect("not poisoned"), (0..10).collect::<Vec<u32>>());
        assert_eq!(exits(&tree, "toy"), Exits { hangs: 1, normal: 1, ..Exits::default() });
        let starts = starts.lock().expect("not poisoned");
        let took = starts[1] - starts[0];
        assert!(took <= HEARTBEAT + Duration::from_millis(100), "serving again only after {took:?}");
    });
}

#[test]
fn waiting_inside_the_kit_is_no_hang() {
    in_virtual_time(async {
        let diary = Diary::default();
        let port: Port<u32> = Port::new("numbers", 2, Policy::Wait);
        let to = port.clone();
        let producer = ChildSpec::new("producer", move |lease| {
            let port = to.clone();
            async move {
                let producer = port.producer(&lease);
                producer.push_all(&mut (0..9).collect()).await?;
                lease.stopping().await;
                Ok(())
            }
        });
        let from = port.clone();
        let noted = diary.clone();
        let slow = ChildSpec::new("slow", move |lease| {
            let (port, diary) = (from.clone(), noted.clone());
            async move {
                let mut consumer = port.consumer(&lease);
                while let Some(mut batch) = consumer.drain(1).await {
                    while let Some(number) = batch.next() {
                        diary.note(number.to_string());
                        // A database that is away: its retries have bounds of their own.
                        let _waiting = lease.pulse().wait();
                        tokio::time::sleep(HEARTBEAT * 20).await;
                    }
                    batch.done();
                }
                Ok(())
            }
        });
        let computing = ChildSpec::new("computing", |lease| async move {
            {
                let _excused = lease.pulse().excuse(HEARTBEAT * 10);
                tokio::time::sleep(HEARTBEAT * 9).await;
            }
            lease.stopping().await;
            Ok(())
        });
        let root = [producer, slow, computing, idler("idle", &diary)]
            .into_iter()
            .fold(SupervisorSpec::new("root", Strategy::OneForOne), |root, child| {
                root.child(child.heartbeat(HEARTBEAT))
            });
        let tree = Tree::new();
        let seen = diary.clone();
        stop_when(&tree, move |_| seen.lines().contains(&"8".to_owned()));
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        for row in tree.snapshot().rows {
            assert_eq!(row.restarts, 0, "{} {:?}", row.path, row.last_exit);
        }
    });
}

#[test]
fn a_computation_longer_than_it_was_declared_is_a_hang() {
    in_virtual_time(async {
        let toy = ChildSpec::new("toy", |lease| async move {
            if lease.incarnation() == 1 {
                let _excused = lease.pulse().excuse(HEARTBEAT * 3);
                pending::<()>().await;
            }
            if lease.incarnation() == 2 {
                drop(lease.pulse().excuse(HEARTBEAT * 1_000));
                pending::<()>().await;
            }
            Ok(())
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .child(toy.restart(Restart::Transient).heartbeat(HEARTBEAT));
        let (tree, began) = (Tree::new(), Instant::now());
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Finished);
        let took = began.elapsed();
        assert!(took >= HEARTBEAT * 4 && took < HEARTBEAT * 6, "{took:?}");
        assert_eq!(exits(&tree, "toy").hangs, 2);
    });
}

/// Blocks its thread in its first incarnation until released, then says what became of what it still tried.
fn blocker(
    release: mpsc::Receiver<()>,
    port: &Port<u32>,
    outcome: &Arc<Mutex<Option<(Refusal, bool)>>>,
) -> ChildSpec {
    let (release, port, outcome) = (Arc::new(Mutex::new(release)), port.clone(), Arc::clone(outcome));
    ChildSpec::new("blocker", move |lease| {
        let (release, port, outcome) = (Arc::clone(&release), port.clone(), Arc::clone(&outcome));
        async move {
            let producer = port.producer(&lease);
            let permit = producer.reserve().await?;
            let mut consumer = port.consumer(&lease);
            let mut batch = consumer.drain(1).await.ok_or("stopped")?;
            batch.next();
            if lease.incarnation() == 1 {
                // Ends with an error when the test drops the sender.
                let _ = release.lock().expect("not poisoned").recv();
                let refused = producer.offer(77).expect_err("fenced").reason;
                assert_eq!(permit.push(78).expect_err("fenced too").reason, refused);
                *outcome.lock().expect("not poisoned") = Some((refused, batch.done()));
                return Ok(());
            }
            drop(permit);
            batch.done();
            lease.stopping().await;
            Ok(())
        }
    })
}

#[test]
fn a_blocked_thread_is_replaced_and_its_zombie_is_not_heard() {
    let (release, blocked_until) = mpsc::channel();
    let port = Port::new("numbers", 4, Policy::Wait);
    port.producer(&Lease::detached("test")).offer_all(&mut vec![1, 2]).expect("room");
    let outcome = Arc::default();
    let diary = Diary::default();
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        // The neighbour's loss of its thread must not count.
        .intensity(1, Duration::from_secs(60))
        .child(blocker(blocked_until, &port, &outcome).heartbeat(HEARTBEAT))
        .child(idler("neighbour", &diary).heartbeat(HEARTBEAT))
        .child(idler("elsewhere", &diary).heartbeat(HEARTBEAT).placement(Placement::Own));
    let tree = Tree::new();
    let (stopper, ended, from) = (tree.clone(), Arc::clone(&outcome), port.clone());
    let watcher = std::thread::spawn(move || {
        let until = std::time::Instant::now() + Duration::from_secs(60);
        let wait_for = |what: &str, is_reached: &dyn Fn(&TreeSnapshot) -> bool| {
            while !is_reached(&stopper.snapshot()) {
                assert!(std::time::Instant::now() < until, "no {what}: {:#?}", stopper.snapshot());
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        let starts = |snapshot: &TreeSnapshot, path: &str| {
            snapshot
                .row(path)
                .map_or(0, |row| if row.state == ChildState::Running { row.incarnation } else { 0 })
        };
        wait_for("restart", &|now| starts(now, "blocker") == 2 && starts(now, "neighbour") == 2);
        // Handled by the second incarnation, although the first has it in hand.
        wait_for("item handled", &|_| {
            from.gauge().snapshot().depth == 1 && from.gauge().snapshot().in_hand == 0
        });
        assert_eq!(stopper.snapshot().zombies, 1);
        drop(release);
        wait_for("outcome", &|_| ended.lock().expect("not poisoned").is_some());
        wait_for("zombie's end", &|now| now.zombies == 0);
        stopper.drain(Duration::from_secs(10));
    });
    let exit = tree.run(root, QUIET).expect("no signals to listen for");
    watcher.join().expect("the watcher is content");
    assert_eq!(exit, TreeExit { end: TreeEnd::Drained, threads_left: 0 });
    assert_eq!(*outcome.lock().expect("not poisoned"), Some((Refusal::Fenced, false)));
    assert_eq!((exits(&tree, "blocker").blocked, exits(&tree, "blocker").displaced), (1, 0));
    assert_eq!((exits(&tree, "neighbour").blocked, exits(&tree, "neighbour").displaced), (0, 1));
    assert_eq!(exits(&tree, "elsewhere"), Exits { normal: 1, ..Exits::default() });
    assert_eq!(tree.snapshot().zombies_total, 1);
    let snapshot = port.gauge().snapshot();
    assert_eq!((snapshot.accepted, snapshot.depth), (2, 1), "the zombie brought nothing");
}

#[test]
fn too_many_zombies_end_the_tree() {
    let is_over = Arc::new(AtomicBool::new(false));
    let starts = Arc::new(AtomicU64::new(0));
    let (over, noted) = (Arc::clone(&is_over), Arc::clone(&starts));
    let stubborn = ChildSpec::new("stubborn", move |_| {
        let over = Arc::clone(&over);
        noted.fetch_add(1, SeqCst);
        async move {
            while !over.load(SeqCst) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Ok(())
        }
    });
    let diary = Diary::default();
    let group = SupervisorSpec::new("group", Strategy::OneForOne)
        .child(stubborn.heartbeat(Duration::from_millis(50)).placement(Placement::Own));
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .child(idler("elder", &diary).placement(Placement::Own))
        .supervisor(group);
    let options = TreeOptions { zombies_max: 2, ..QUIET };
    let exit = Tree::new().run(root, options).expect("no signals to listen for");
    is_over.store(true, SeqCst);
    let TreeEnd::Escalated(reason) = exit.end else { panic!("{exit:?}") };
    assert!(reason.contains("more than 2 threads do not come back from their children"), "{reason}");
    assert_eq!(starts.load(SeqCst), 3);
    assert_eq!(diary.lines().last().map(String::as_str), Some("elder stops by Drain"));
}
