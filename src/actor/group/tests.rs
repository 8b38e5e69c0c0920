//! A supervisor that wakes up late.

use super::*;
use crate::actor::{ChildSpec, Placement};
use std::future::pending;
use tokio::time::{advance, sleep};

/// What a process that is stopped for a while, or whose machine is, makes of every clock.
const STANDSTILL: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(2);

/// Shows a supervisor of one child to `check`, in virtual time.
fn with_one_child(child: ChildSpec, check: impl AsyncFnOnce(&mut Group<'_>)) {
    actix::System::new().block_on(async {
        tokio::time::pause();
        let (board, arbiters) = (Board::default(), Arbiters::calling_thread());
        let seat = Seat {
            status: board.add("child".into(), Some("root".into()), false, Vec::new()),
            restart: Restart::Permanent,
            grace: GRACE,
            heartbeat: child.heartbeat,
            is_judged: true,
            placement: Placement::Control,
            start: child.start,
        };
        let plan = Plan {
            path: "root".into(),
            strategy: Strategy::OneForOne,
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            seats: vec![seat],
            seed: 7,
            board,
            arbiters,
            on_escalation: StopSignal::Drain,
        };
        let mut group = Group::new(&plan, 1);
        group.start_all();
        check(&mut group).await;
    });
}

#[test]
fn a_hung_child_that_is_being_ended_has_its_time_again_after_a_standstill() {
    let deaf = ChildSpec::new("child", |_| pending()).heartbeat(Duration::from_secs(1));
    with_one_child(deaf, async |group| {
        // Let it begin, and hang.
        sleep(Duration::from_millis(1_100)).await;
        let wake = group.next_wake();
        group.look(wake).await.expect("nobody gives up");
        let planned = match &group.posts[0] {
            Post::Ending { until, .. } => *until,
            _ => panic!("it was not found out"),
        };
        // It cannot be ended meanwhile: nothing but this task is polled.
        advance(STANDSTILL).await;
        group.look(planned).await.expect("nobody gives up");
        let Post::Ending { until, .. } = &group.posts[0] else { panic!("it was given up") };
        assert_eq!(until.duration_since(Instant::now()), HUNG_ABORT_WAIT);
        // It ended in order as soon as anything ran: its thread was never given up.
        let (index, exited) = group.next_exit().await;
        assert!(matches!(exited.reason, ExitReason::Hung(_)), "{:?}", exited.reason);
        group.note_exit(index, exited).await.expect("within the budget");
        let exits = group.plan.board.snapshot().rows[0].exits;
        assert_eq!((exits.hangs, exits.blocked), (1, 0));
    });
}

#[test]
fn a_child_whose_thread_does_not_end_it_is_given_up_in_time() {
    let deaf = ChildSpec::new("child", |_| pending()).heartbeat(Duration::from_secs(1));
    with_one_child(deaf, async |group| {
        sleep(Duration::from_millis(1_100)).await;
        let wake = group.next_wake();
        group.look(wake).await.expect("nobody gives up");
        let planned = group.next_wake();
        advance(HUNG_ABORT_WAIT).await;
        group.look(planned).await.expect("nobody gives up");
        assert!(matches!(group.posts[0], Post::Due(_)));
        assert_eq!(group.plan.board.snapshot().rows[0].exits.blocked, 1);
    });
}

#[test]
fn a_child_that_stops_in_its_grace_is_not_aborted_for_a_standstill() {
    let slow = ChildSpec::new("child", |lease| async move {
        lease.stopping().await;
        sleep(GRACE / 2).await;
        Ok(())
    });
    with_one_child(slow, async |group| {
        tokio::task::yield_now().await;
        let standstill = async {
            sleep(GRACE / 4).await;
            advance(STANDSTILL).await;
        };
        tokio::join!(group.stop(0, StopSignal::Drain), standstill);
        let exits = group.plan.board.snapshot().rows[0].exits;
        assert_eq!((exits.normal, exits.aborted, exits.blocked), (1, 0, 0));
    });
}
