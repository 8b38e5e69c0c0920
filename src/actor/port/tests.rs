//! Ports alone, on one thread and across threads.

use super::*;
use crate::actor::{Pulse, StopSignal};
use futures_util::FutureExt;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// A lease with its strings in hand: what the supervisor would pull.
fn lease_and_strings() -> (Lease, watch::Sender<StopSignal>, Arc<AtomicU64>) {
    let (stop, watch) = watch::channel(StopSignal::Run);
    let current = Arc::new(AtomicU64::new(1));
    let lease = Lease::new("test".into(), 1, Arc::clone(&current), watch, Pulse::default(), Arc::default());
    (lease, stop, current)
}

fn numbers(batch: Option<Batch<'_, u32>>) -> Option<Vec<u32>> {
    batch.map(|batch| {
        let numbers = batch.items().to_vec();
        batch.done();
        numbers
    })
}

#[tokio::test]
async fn a_full_port_does_what_its_policy_says() {
    let lease = Lease::detached("test");
    let fill = |policy| {
        let port = Port::new("numbers", 2, policy);
        let producer = port.producer(&lease);
        let refused: Vec<u32> = [10, 20, 11, 30]
            .into_iter()
            .filter_map(|number| producer.offer(number).err().map(|refused| refused.item))
            .collect();
        port.close();
        (port, refused)
    };
    let left = async |port: &Port<u32>| {
        let mut consumer = port.consumer(&lease);
        numbers(consumer.drain(10).await)
    };
    for (policy, wanted_left, wanted_refused) in [
        (Policy::Wait, vec![10, 20], vec![11, 30]),
        (Policy::Reject, vec![10, 20], vec![11, 30]),
        (Policy::DropOldest, vec![11, 30], vec![]),
        (Policy::Conflate(|number: &u32| u64::from(number / 10)), vec![20, 30], vec![]),
    ] {
        let (port, refused) = fill(policy);
        assert_eq!(refused, wanted_refused);
        let snapshot = port.gauge().snapshot();
        assert_eq!(snapshot.depth + snapshot.dropped + snapshot.conflated, snapshot.accepted);
        assert_eq!(snapshot.high_water, 2);
        assert_eq!(left(&port).await, Some(wanted_left));
        assert_eq!(left(&port).await, None);
    }
}

#[tokio::test]
async fn conflation_replaces_in_place_and_only_what_still_waits() {
    let lease = Lease::detached("test");
    let port = Port::new("numbers", 8, Policy::Conflate(|number: &u32| u64::from(number / 10)));
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    for number in [10, 20, 30, 11] {
        producer.offer(number).expect("room");
    }
    assert_eq!(numbers(consumer.drain(2).await), Some(vec![11, 20]));
    for number in [12, 31, 13] {
        producer.offer(number).expect("room");
    }
    assert_eq!(numbers(consumer.drain(8).await), Some(vec![31, 13]));
}

#[tokio::test]
async fn a_permit_keeps_its_place_and_outlives_the_close() {
    let lease = Lease::detached("test");
    let port = Port::new("numbers", 1, Policy::Wait);
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    let permit = producer.reserve().await.expect("room");
    assert_eq!(producer.offer(9).expect_err("the place is taken").reason, Refusal::Full);
    let mut next = Box::pin(producer.reserve());
    assert!((&mut next).now_or_never().is_none());
    assert!(lease.pulse().is_waiting());
    drop(permit);
    let permit = next.await.expect("the place was given back");
    assert!(!lease.pulse().is_waiting());
    port.close();
    assert_eq!(producer.reserve().await.err(), Some(Refusal::Closed));
    assert!(consumer.drain(1).now_or_never().is_none(), "the permit may still bring something");
    permit.push(7).expect("promised");
    assert_eq!(numbers(consumer.drain(1).await), Some(vec![7]));
    assert_eq!(numbers(consumer.drain(1).await), None);
}

#[tokio::test]
async fn a_waiting_producer_goes_on_when_there_is_room_and_ends_when_closed() {
    let lease = Lease::detached("test");
    let port = Port::new("numbers", 2, Policy::Wait);
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    let mut many: Vec<u32> = (0..5).collect();
    let mut pushing = Box::pin(producer.push_all(&mut many));
    assert!((&mut pushing).now_or_never().is_none());
    assert_eq!(numbers(consumer.drain(9).await), Some(vec![0, 1]));
    assert!((&mut pushing).now_or_never().is_none());
    port.close();
    assert_eq!(pushing.await, Err(Refusal::Closed));
    let mut taken = numbers(consumer.drain(9).await).expect("what was accepted");
    taken.extend(many);
    assert_eq!(taken, [2, 3, 4]);
}

#[tokio::test]
async fn a_port_pauses_at_four_fifths_of_its_weight_and_goes_on_from_half_down() {
    let lease = Lease::detached("test");
    let port = Port::weighted("numbers", 100, 100, |number: &u32| *number as usize, Policy::Wait);
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    let weight = || port.gauge().snapshot().weight;
    for _ in 0..7 {
        producer.push(10).await.expect("room");
    }
    producer.reserve().now_or_never().expect("70 of 100 is no pause").expect("open").push(10).expect("open");
    assert_eq!((weight(), port.gauge().snapshot().pauses), (80, 1));
    let mut waiting = Box::pin(producer.reserve());
    assert!((&mut waiting).now_or_never().is_none(), "paused at four fifths");
    // What is in hand weighs until it is done.
    let batch = consumer.drain(3).await.expect("items");
    assert_eq!(weight(), 80);
    assert!((&mut waiting).now_or_never().is_none());
    batch.done();
    assert_eq!(weight(), 50);
    let permit = waiting.now_or_never().expect("half is empty").expect("open");
    permit.push(10).expect("open");
    assert_eq!((weight(), port.gauge().snapshot().pauses), (60, 1), "no pause between half and four fifths");
    drop(producer.reserve().now_or_never().expect("goes on").expect("open"));
    // One item is taken however heavy, and then no other.
    assert_eq!(numbers(consumer.drain(9).await).map(|all| all.len()), Some(6));
    producer.push(1_000).await.expect("an empty port takes anything");
    assert!(producer.reserve().now_or_never().is_none());
    assert_eq!(producer.offer(1).expect_err("too heavy already").reason, Refusal::Full);
}

#[tokio::test]
async fn between_half_and_four_fifths_it_stays_as_it_was() {
    let lease = Lease::detached("test");
    let port = Port::new("numbers", 10, Policy::Wait);
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    for round in 1..=3 {
        for number in 0..8 {
            let is_open = producer.reserve().now_or_never();
            is_open
                .unwrap_or_else(|| panic!("{number} of round {round}"))
                .expect("open")
                .push(number)
                .expect("open");
        }
        assert_eq!(port.gauge().snapshot().pauses, round);
        for left in (0..8).rev() {
            assert_eq!(producer.reserve().now_or_never().is_some(), left < 5, "{left} left, round {round}");
            assert_eq!(numbers(consumer.drain(1).await).map(|all| all.len()), Some(1));
        }
    }
}

#[tokio::test]
async fn a_batch_not_done_is_handed_out_again_from_where_it_was_handled() {
    let lease = Lease::detached("test");
    let port = Port::new("numbers", 9, Policy::Wait);
    let producer = port.producer(&lease);
    producer.offer_all(&mut vec![1, 2, 3, 4]).expect("room");
    let mut consumer = port.consumer(&lease);
    let batch = consumer.drain(3).await.expect("items");
    assert_eq!((batch.items(), batch.redelivery()), (&[1, 2, 3][..], 0));
    batch.handled(1);
    assert_eq!(batch.items(), [2, 3]);
    drop(batch);
    drop(consumer);
    assert_eq!((port.gauge().snapshot().in_hand, port.gauge().snapshot().depth), (3, 1));
    assert!(port.gauge().snapshot().oldest_age.is_some());
    let mut consumer = port.consumer(&lease);
    for redelivery in 1..=2 {
        let batch = consumer.drain(1).await.expect("items");
        assert_eq!((batch.items(), batch.redelivery()), (&[2, 3][..], redelivery));
    }
    assert_eq!(numbers(consumer.drain(1).await), Some(vec![2, 3]));
    let batch = consumer.drain(1).await.expect("items");
    assert_eq!((batch.items(), batch.redelivery()), (&[4][..], 0));
    batch.handled(1);
    drop(batch);
    assert!(consumer.drain(1).now_or_never().is_none(), "all were handled");
}

#[tokio::test]
async fn a_fenced_incarnation_neither_pushes_nor_takes() {
    let (lease, _stop, current) = lease_and_strings();
    let port = Port::new("numbers", 9, Policy::Wait);
    let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
    let permit = producer.reserve().await.expect("room");
    producer.offer(1).expect("room");
    let batch = consumer.drain(9).await.expect("an item");
    current.store(2, Ordering::Release);
    batch.handled(1);
    assert!(!batch.done());
    assert!(consumer.drain(9).await.is_none());
    assert_eq!(permit.push(2).expect_err("fenced").reason, Refusal::Fenced);
    assert_eq!(producer.offer(2).expect_err("fenced").reason, Refusal::Fenced);
    assert_eq!(producer.push(2).await.expect_err("fenced").reason, Refusal::Fenced);
    let next = Lease::detached("next");
    assert_eq!(numbers(port.consumer(&next).drain(9).await), Some(vec![1]));
}

#[tokio::test]
async fn a_consumer_follows_its_stop_signal() {
    let (lease, stop, _current) = lease_and_strings();
    let port = Port::new("numbers", 9, Policy::Wait);
    let producer = port.producer(&Lease::detached("producer"));
    let mut consumer = port.consumer(&lease);
    let mut waiting = Box::pin(consumer.drain(9));
    assert!((&mut waiting).now_or_never().is_none());
    stop.send_replace(StopSignal::Drain);
    assert!(waiting.await.is_none());
    producer.offer(1).expect("room");
    assert_eq!(numbers(consumer.drain(9).await), Some(vec![1]));
    producer.offer(2).expect("room");
    stop.send_replace(StopSignal::Restart);
    assert!(consumer.drain(9).await.is_none());
    assert_eq!(port.gauge().snapshot().depth, 1);
}

/// Pushes from one thread, takes on another; returns what arrived.
fn across_threads(count: u64, capacity: usize, pushes: usize, max: usize) -> Vec<u64> {
    let port = Port::new("numbers", capacity, Policy::Wait);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let to = port.clone();
    let producing = std::thread::spawn(move || {
        runtime().block_on(async {
            let producer = to.producer(&Lease::detached("producer"));
            let mut next = 0;
            while next < count {
                if pushes == 1 {
                    producer.push(next).await.expect("open");
                    next += 1;
                } else {
                    let end = count.min(next + pushes as u64);
                    let mut items: Vec<u64> = (next..end).collect();
                    producer.push_all(&mut items).await.expect("open");
                    next = end;
                }
            }
            to.close();
        });
    });
    let taken = runtime().block_on(async {
        let mut consumer = port.consumer(&Lease::detached("consumer"));
        let mut taken = Vec::new();
        while let Some(batch) = consumer.drain(max).await {
            taken.extend_from_slice(batch.items());
            batch.done();
        }
        taken
    });
    producing.join().expect("no panic");
    taken
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn items_cross_threads_in_order(
        count in 0_u64..3_000,
        capacity in 1_usize..64,
        pushes in 1_usize..100,
        max in 1_usize..100,
    ) {
        prop_assert_eq!(across_threads(count, capacity, pushes, max), (0..count).collect::<Vec<u64>>());
    }
}
