//! Random failures: what must hold whatever fails when. A failing case prints its inputs and is kept by proptest.

use super::*;
use proptest::prelude::prop_oneof;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Error,
    Panic,
    Hang,
}

fn death() -> impl proptest::strategy::Strategy<Value = Death> {
    prop_oneof![
        proptest::strategy::Just(Death::Error),
        proptest::strategy::Just(Death::Panic),
        proptest::strategy::Just(Death::Hang),
    ]
}

async fn die(death: Death) -> Result<(), ChildError> {
    match death {
        Death::Error => Err("planned".into()),
        Death::Panic => panic!("planned"),
        Death::Hang => pending().await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Producer and consumer die of anything between two items, some items kill for good: each item is handled once and
    /// in order, but for the poisonous ones, which are set aside once.
    #[test]
    fn every_item_is_handled_once_or_set_aside(
        items in 1_u32..60,
        capacity in 1_usize..20,
        max in 1_usize..10,
        deaths in prop::collection::vec((0_usize..12, death()), 0..10),
        producer_deaths in prop::collection::vec((0_u32..20, death()), 0..5),
        poison in prop::collection::btree_map(0_u32..60, any::<bool>(), 0..4),
    ) {
        install_panic_hook();
        let poisonous: BTreeSet<u32> = poison.keys().copied().filter(|number| *number < items).collect();
        let (handled, set_aside, end) = in_virtual_time(async move {
            let port = Port::new("numbers", capacity, Policy::Wait);
            let handled: Arc<Mutex<Vec<u32>>> = Arc::default();
            let set_aside: Arc<Mutex<Vec<u32>>> = Arc::default();
            let aside = Arc::clone(&set_aside);
            port.set_aside_with(move |number, _| aside.lock().expect("not poisoned").push(*number));
            let (from, seen) = (port.clone(), Arc::clone(&handled));
            let consumer = ChildSpec::new("consumer", move |lease| {
                let (port, seen, poison) = (from.clone(), Arc::clone(&seen), poison.clone());
                let planned = deaths.get(lease.incarnation() as usize - 1).copied();
                async move {
                    let mut consumer = port.consumer(&lease);
                    let mut left = planned.map(|(after, _)| after);
                    while let Some(mut batch) = consumer.drain(max).await {
                        while let Some(&number) = batch.next() {
                            if let Some(panics) = poison.get(&number) {
                                die(if *panics { Death::Panic } else { Death::Hang }).await?;
                            }
                            seen.lock().expect("not poisoned").push(number);
                            tokio::task::yield_now().await;
                        }
                        batch.done();
                        if let (Some(0), Some((_, death))) = (left, planned) {
                            die(death).await?;
                        }
                        left = left.map(|count| count.saturating_sub(1));
                    }
                    Ok(())
                }
            });
            let to = port.clone();
            // What was accepted is known to the producer by itself: it goes on where it was.
            let next = Arc::new(Mutex::new(0_u32));
            let producer = ChildSpec::new("producer", move |lease| {
                let (port, next) = (to.clone(), Arc::clone(&next));
                let planned = producer_deaths.get(lease.incarnation() as usize - 1).copied();
                async move {
                    let producer = port.producer(&lease);
                    let mut pushed = 0;
                    loop {
                        let number = *next.lock().expect("not poisoned");
                        if number == items {
                            port.close();
                            return Ok(());
                        }
                        if let Some((after, death)) = planned && pushed == after {
                            die(death).await?;
                        }
                        producer.push(number).await?;
                        *next.lock().expect("not poisoned") += 1;
                        pushed += 1;
                    }
                }
            });
            let heartbeat = Duration::from_millis(100);
            let root = SupervisorSpec::new("root", Strategy::OneForOne)
                .intensity(100, Duration::from_secs(600))
                .child(consumer.restart(Restart::Transient).heartbeat(heartbeat).port(port.gauge()))
                .child(producer.restart(Restart::Transient).heartbeat(heartbeat));
            let end = drive(&Tree::new(), root).await.end;
            let list = |numbers: &Mutex<Vec<u32>>| numbers.lock().expect("not poisoned").clone();
            (list(&handled), list(&set_aside), end)
        });
        prop_assert_eq!(end, TreeEnd::Finished);
        let wanted: Vec<u32> = (0..items).filter(|number| !poisonous.contains(number)).collect();
        prop_assert_eq!(handled, wanted);
        prop_assert_eq!(set_aside, poisonous.into_iter().collect::<Vec<u32>>());
    }

    /// A supervisor restarts up to its budget and never beyond: more than `max` failures within the window end it, and
    /// nothing else does. The two deaths that condemn an item are no such failures, for as many items as are forgiven; an
    /// item that kills once more, because it was not set aside, is.
    #[test]
    fn budgets_are_kept(
        max in 1_usize..6,
        window_s in 1_u64..60,
        lives in prop::collection::vec((prop_oneof![0_u64..30_000, 0_u64..300], prop::option::of(0_u64..20)), 1..60),
    ) {
        install_panic_hook();
        let window = Duration::from_secs(window_s);
        let (failures, end) = in_virtual_time(async move {
            let failures = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&failures);
            let toy = ChildSpec::new("toy", move |lease| {
                let (noted, life) = (Arc::clone(&noted), lives.get(lease.incarnation() as usize - 1).copied());
                async move {
                    let Some((life_ms, item)) = life else { return Ok(()) };
                    let _waiting = lease.pulse().wait();
                    tokio::time::sleep(Duration::from_millis(life_ms)).await;
                    noted.lock().expect("not poisoned").push((Instant::now(), item));
                    let Some(item) = item else { return Err("planned".into()) };
                    lease.take_in_hand(item);
                    panic!("planned")
                }
            });
            let root = SupervisorSpec::new("root", Strategy::OneForOne)
                .intensity(max, window)
                .child(toy.restart(Restart::Transient));
            let end = drive(&Tree::new(), root).await.end;
            let failures = failures.lock().expect("not poisoned").clone();
            (failures, end)
        });
        let first_over = first_beyond_budget(&failures, max, window);
        let gave_up = matches!(end, TreeEnd::Escalated(_));
        prop_assert_eq!(gave_up, first_over.is_some(), "{:?}", failures);
        if let Some(last) = first_over {
            prop_assert_eq!(last, failures.len() - 1, "it went on after its budget was spent");
        }
    }
}

/// The failure, if any, that spends the budget; each failure is its instant and the item it was over.
fn first_beyond_budget(failures: &[(Instant, Option<u64>)], max: usize, window: Duration) -> Option<usize> {
    let mut counted: Vec<usize> = Vec::new();
    let mut forgiven: Vec<Instant> = Vec::new();
    for (index, (now, item)) in failures.iter().enumerate() {
        let is_recent = |then: &Instant| *now - *then < window;
        let over_it: Vec<usize> =
            (0..index).filter(|before| item.is_some() && failures[*before].1 == *item).collect();
        // The second death condemns, neither the first nor a third one.
        if let [earlier] = over_it[..]
            && forgiven.iter().filter(|then| is_recent(then)).count() < VERDICTS_FORGIVEN_MAX
        {
            forgiven.push(*now);
            counted.retain(|death| *death != earlier);
            continue;
        }
        counted.push(index);
        if counted.iter().filter(|death| is_recent(&failures[**death].0)).count() > max {
            return Some(index);
        }
    }
    None
}
