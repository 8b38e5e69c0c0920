//! Items that kill whoever handles them.

use super::*;

/// What a number does to its handler.
type Harm = fn(u32, &Lease) -> bool;

struct Outcome {
    handled: Vec<u32>,
    set_aside: Vec<u32>,
    tree: Tree,
    end: TreeEnd,
}

/// Handles 0 to 19, two of each batch of four together where `together` says so. A harmful number panics if it is odd and
/// hangs if it is even.
async fn handle_twenty(harm: Harm, together: usize) -> Outcome {
    let port: Port<u32> = Port::new("numbers", 100, Policy::Wait);
    port.producer(&Lease::detached("test")).offer_all(&mut (0..20).collect()).expect("room");
    port.close();
    let handled: Arc<Mutex<Vec<u32>>> = Arc::default();
    let set_aside: Arc<Mutex<Vec<u32>>> = Arc::default();
    let aside = Arc::clone(&set_aside);
    port.set_aside_with(move |number, verdict| {
        assert!(verdict.incarnations[0] < verdict.incarnations[1]);
        aside.lock().expect("not poisoned").push(*number);
    });
    let (from, seen) = (port.clone(), Arc::clone(&handled));
    let toy = ChildSpec::new("toy", move |lease| {
        let (port, seen) = (from.clone(), Arc::clone(&seen));
        async move {
            let handle = async |number: u32| {
                if harm(number, &lease) {
                    assert!(number.is_multiple_of(2), "{number} hurts");
                    pending::<()>().await;
                }
            };
            let mut consumer = port.consumer(&lease);
            while let Some(mut batch) = consumer.drain(4).await {
                while batch.redelivery() == 0 && together > 1 && !batch.items().is_empty() {
                    let count = together.min(batch.items().len());
                    batch.take_together(count);
                    for number in &batch.items()[..count] {
                        handle(*number).await;
                    }
                    seen.lock().expect("not poisoned").extend_from_slice(&batch.items()[..count]);
                    batch.handled(count);
                }
                while let Some(&number) = batch.next() {
                    handle(number).await;
                    seen.lock().expect("not poisoned").push(number);
                }
                batch.done();
            }
            Ok(())
        }
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .intensity(100, Duration::from_secs(60))
        .child(toy.restart(Restart::Transient).heartbeat(Duration::from_millis(200)).port(port.gauge()));
    let tree = Tree::new();
    let end = drive(&tree, root).await.end;
    let list = |numbers: &Mutex<Vec<u32>>| numbers.lock().expect("not poisoned").clone();
    Outcome { handled: list(&handled), set_aside: list(&set_aside), tree, end }
}

fn all_but(left_out: &[u32]) -> Vec<u32> {
    (0..20).filter(|number| !left_out.contains(number)).collect()
}

#[test]
fn what_kills_two_incarnations_is_set_aside() {
    install_panic_hook();
    in_virtual_time(async {
        let outcome = handle_twenty(|number, _| number == 7 || number == 12, 1).await;
        assert_eq!(outcome.end, TreeEnd::Finished);
        assert_eq!((outcome.set_aside, outcome.handled), (vec![7, 12], all_but(&[7, 12])));
        let snapshot = outcome.tree.snapshot();
        let row = snapshot.row("toy").expect("a row");
        assert_eq!(row.exits, Exits { panics: 2, hangs: 2, normal: 1, ..Exits::default() });
        assert_eq!((row.set_aside, row.ports[0].set_aside), (2, 2));
    });
}

#[test]
fn what_kills_once_is_handled_the_second_time() {
    install_panic_hook();
    in_virtual_time(async {
        let outcome = handle_twenty(|number, lease| number == 7 && lease.incarnation() == 1, 1).await;
        assert_eq!((outcome.set_aside, outcome.handled), (vec![], all_but(&[])));
    });
}

#[test]
fn the_culprit_among_items_handled_together_is_found() {
    install_panic_hook();
    in_virtual_time(async {
        let outcome = handle_twenty(|number, _| number == 9 || number == 14, 3).await;
        assert_eq!(outcome.end, TreeEnd::Finished);
        assert_eq!((outcome.set_aside, outcome.handled), (vec![9, 14], all_but(&[9, 14])));
    });
}

#[test]
fn an_error_condemns_nothing() {
    in_virtual_time(async {
        let port: Port<u32> = Port::new("numbers", 4, Policy::Wait);
        port.producer(&Lease::detached("test")).offer_all(&mut vec![1, 2]).expect("room");
        port.close();
        let toy = ChildSpec::new("toy", move |lease| {
            let port = port.clone();
            async move {
                let mut consumer = port.consumer(&lease);
                while let Some(mut batch) = consumer.drain(4).await {
                    while let Some(number) = batch.next() {
                        if *number == 1 && lease.incarnation() < 5 {
                            return Err("the database is away".into());
                        }
                    }
                    batch.done();
                }
                Ok(())
            }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne).child(toy.restart(Restart::Transient));
        let tree = Tree::new();
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Finished);
        assert_eq!(tree.snapshot().row("toy").expect("a row").set_aside, 0);
    });
}

#[test]
fn a_child_with_numbers_of_its_own_learns_its_verdicts() {
    install_panic_hook();
    in_virtual_time(async {
        let diary = Diary::default();
        let noted = diary.clone();
        let toy = ChildSpec::new("toy", move |lease| {
            let diary = noted.clone();
            async move {
                for number in 1..=3 {
                    if let Some(verdict) = lease.verdict(number) {
                        diary.note(format!("{number} set aside: {}", verdict.reason));
                        lease.note_set_aside();
                        continue;
                    }
                    lease.take_in_hand(number);
                    assert!(number != 2, "two hurts");
                    lease.lay_down();
                }
                Ok(())
            }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne).child(toy.restart(Restart::Transient));
        let tree = Tree::new();
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Finished);
        assert_eq!(diary.lines().len(), 1);
        assert!(diary.lines()[0].starts_with("2 set aside: panicked: two hurts"), "{:?}", diary.lines());
        assert_eq!(tree.snapshot().row("toy").expect("a row").incarnation, 3);
    });
}

/// Where a child that dies of each of its first `poisonous` items ends, with a budget of three in five minutes, and how
/// long before each start it waited, in milliseconds.
async fn die_of_each(poisonous: u64) -> (TreeEnd, Vec<u128>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    let toy = ChildSpec::new("toy", move |lease| {
        let times = Arc::clone(&noted);
        async move {
            times.lock().expect("not poisoned").push(Instant::now());
            // It has nothing else to do, so it dies as soon as it is started.
            let Some(number) = (1..=poisonous).find(|number| lease.verdict(*number).is_none()) else {
                return Ok(());
            };
            lease.take_in_hand(number);
            panic!("{number} hurts")
        }
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .intensity(3, Duration::from_secs(300))
        .backoff(steady())
        .child(toy.restart(Restart::Transient));
    let end = drive(&Tree::new(), root).await.end;
    let times = times.lock().expect("not poisoned");
    (end, times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect())
}

#[test]
fn a_burst_of_poison_spends_no_budget_and_doubles_no_delay() {
    install_panic_hook();
    in_virtual_time(async {
        let (end, waits) = die_of_each(VERDICTS_FORGIVEN_MAX as u64).await;
        assert_eq!(end, TreeEnd::Finished);
        assert_eq!(waits.len(), 2 * VERDICTS_FORGIVEN_MAX);
        assert!(waits.iter().all(|wait| (50..=52).contains(wait)), "{waits:?}");
    });
}

#[test]
fn a_child_that_dies_of_everything_spends_its_budget() {
    install_panic_hook();
    in_virtual_time(async {
        let (end, waits) = die_of_each(u64::MAX).await;
        assert!(matches!(end, TreeEnd::Escalated(_)), "{end:?}");
        assert_eq!(waits.len(), 2 * VERDICTS_FORGIVEN_MAX + 3);
    });
}
