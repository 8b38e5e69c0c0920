//! Ends at bad moments: at the start, while stopping, while the state is dropped, while the tree drains.

use super::*;

/// Panics when it is dropped.
struct Touchy;

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped the wrong way");
    }
}

fn last_exit(tree: &Tree, path: &str) -> String {
    let snapshot = tree.snapshot();
    let exit = snapshot.row(path).and_then(|row| row.last_exit.clone());
    exit.map_or_else(String::new, |reason| reason.to_string())
}

/// Of a toy that panics in two lives and is done in the third.
async fn assert_third_life_ends_well(toy: ChildSpec) {
    let root = SupervisorSpec::new("root", Strategy::OneForOne).child(toy.restart(Restart::Transient));
    let tree = Tree::new();
    assert_eq!(drive(&tree, root).await.end, TreeEnd::Finished);
    let snapshot = tree.snapshot();
    let exits = snapshot.row("toy").expect("a row").exits;
    assert_eq!(exits, Exits { panics: 2, normal: 1, ..Exits::default() });
}

#[test]
fn a_child_that_dies_at_its_start_is_started_again() {
    install_panic_hook();
    in_virtual_time(async {
        let toy = ChildSpec::new("toy", |lease| {
            assert!(lease.incarnation() > 2, "not even started");
            async { Ok(()) }
        });
        assert_third_life_ends_well(toy).await;
    });
}

#[test]
fn a_panic_while_stopping_ends_only_the_child() {
    install_panic_hook();
    in_virtual_time(async {
        let diary = Diary::default();
        let clumsy = ChildSpec::new("clumsy", |lease| async move {
            lease.stopping().await;
            panic!("fell over the threshold")
        });
        let touchy = ChildSpec::new("touchy", |_| async move {
            let _touchy = Touchy;
            pending().await
        });
        let tree = Tree::new();
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .child(idler("elder", &diary))
            .child(clumsy)
            .child(touchy.grace(Duration::from_secs(1)));
        tree.drain(Duration::from_secs(60));
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert!(
            last_exit(&tree, "clumsy").starts_with("panicked: fell over"),
            "{}",
            last_exit(&tree, "clumsy")
        );
        assert!(
            last_exit(&tree, "touchy").starts_with("panicked: dropped the"),
            "{}",
            last_exit(&tree, "touchy")
        );
        assert_eq!(diary.lines().last().map(String::as_str), Some("elder stops by Drain"));
    });
}

#[test]
fn state_that_panics_when_dropped_is_a_panic_of_the_child() {
    install_panic_hook();
    in_virtual_time(async {
        let toy = ChildSpec::new("toy", |lease| async move {
            let _touchy = (lease.incarnation() < 3).then(|| Touchy);
            // The second one panics at work already; then its state is dropped by the unwinding.
            assert!(lease.incarnation() != 2, "at work");
            Ok(())
        });
        assert_third_life_ends_well(toy).await;
    });
}

#[test]
fn a_consumer_that_fails_while_draining_still_drains() {
    install_panic_hook();
    in_virtual_time(async {
        let port = Port::new("numbers", 100, Policy::Wait);
        let handled = Arc::default();
        let producer = {
            let port = port.clone();
            ChildSpec::new("producer", move |lease| {
                let port = port.clone();
                async move {
                    let producer = port.producer(&lease);
                    lease.stopping().await;
                    // A burst that was under way when the signal came.
                    producer.push_all(&mut (0..50).collect()).await?;
                    Ok(())
                }
            })
        };
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .child(counter(&port, &handled, Some(20)))
            .child(producer);
        let tree = Tree::new();
        tree.drain(Duration::from_secs(60));
        assert_eq!(drive(&tree, root).await.end, TreeEnd::Drained);
        assert_eq!(*handled.lock().expect("not poisoned"), (0..50).collect::<Vec<u32>>());
        assert_eq!(tree.snapshot().row("counter").expect("a row").exits.panics, 1);
    });
}

#[test]
fn a_healthy_while_makes_a_failure_the_first_again() {
    in_virtual_time(async {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&starts);
        let toy = ChildSpec::new("toy", move |lease| {
            noted.lock().expect("not poisoned").push(Instant::now());
            async move {
                if lease.incarnation() == 3 {
                    // Longer than the while after which the backoff forgets.
                    let _waiting = lease.pulse().wait();
                    tokio::time::sleep(Duration::from_secs(61)).await;
                }
                if lease.incarnation() < 5 { Err("the toy broke".into()) } else { Ok(()) }
            }
        });
        let root = SupervisorSpec::new("root", Strategy::OneForOne)
            .backoff(steady())
            .child(toy.restart(Restart::Transient));
        assert_eq!(drive(&Tree::new(), root).await.end, TreeEnd::Finished);
        let starts = starts.lock().expect("not poisoned");
        let waits: Vec<u128> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        for (wait, wanted) in waits.iter().zip([50, 100, 61_050, 100]) {
            assert!((wanted..=wanted + 3).contains(wait), "{waits:?}");
        }
    });
}
