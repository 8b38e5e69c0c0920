//! What only PostgreSQL can do: go away while in use.

use super::{place::Place, sample};
use crate::servers;
use bhavd::store::{self, Birth, ErrorClass, OpeningSign, Reader, Store};
use std::time::Duration;

#[tokio::test]
async fn a_lost_connection_is_retried_and_opened_again() {
    let place = Place::postgres().await;
    let (mut store, reader) = place.with(&[sample::batch()]).await;
    let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    place.execute(others).await;
    let mut next = sample::batch();
    next.spool_seq = 50;
    // Whether the loss is noticed before or while writing, the batch is in the store after at most one retry.
    if let Err(error) = store.append(&next).await {
        assert_eq!(error.class(), ErrorClass::Retry, "{error}");
        store.append(&next).await.expect("the next try connects again");
    }
    let error = reader.checkpoint().await.expect_err("its connection is gone");
    assert_eq!(error.class(), ErrorClass::Retry, "{error}");
    let reader = Reader::open(&place.url).await.expect("another reader");
    assert_eq!(reader.checkpoint().await.expect("readable").expect("written").spool_seq, 50);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().display().to_string().replace('/', "%2F");
    let error = store::open(&format!("postgres://bhavd:secret@{socket}/record"), Birth::Real).await;
    let error = error.err().expect("nobody listens");
    assert_eq!(error.class(), ErrorClass::Retry, "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_matter_of_configuration() {
    let place = Place::postgres().await;
    let error = store::open(&format!("{}_missing", place.url), Birth::Real).await.err().expect("no database");
    assert_eq!(error.class(), ErrorClass::Configuration, "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn dropping_a_write_half_way_leaves_no_trace() {
    let place = Place::postgres().await;
    let (mut store, reader) = place.with(&[]).await;
    let mut locker = place.client().await;
    let lock = locker.transaction().await.expect("a transaction");
    lock.batch_execute("LOCK TABLE checkpoints IN EXCLUSIVE MODE").await.expect("the last table is locked");
    let batch = sample::batch();
    let client = place.client().await;
    let waiting = async {
        let blocked = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while client.query_one(blocked, &[]).await.expect("a count").get::<_, i64>(0) == 0 {}
    };
    tokio::select! {
        written = store.append(&batch) => panic!("written past a lock: {written:?}"),
        () = waiting => {}
    }
    lock.rollback().await.expect("unlocks");
    store.append(&store::Batch::new(sample::date(), 7)).await.expect("the same connection goes on");
    assert_eq!(reader.checkpoint().await.expect("readable").expect("written").spool_seq, 7);
    assert_eq!(reader.summary(sample::date()).await.expect("a summary").rows, 0);
}

/// The last signs of a store being opened in `place`, of which `enough` says when `then` ends what holds it up.
async fn open_until(
    place: &Place,
    enough: impl Fn(&[OpeningSign]) -> bool + Sync,
    then: impl Future<Output = ()>,
) -> Vec<OpeningSign> {
    let (mut signs, (sender, mut is_enough)) = (Vec::new(), tokio::sync::mpsc::channel(1));
    let mut note = |sign| {
        signs.push(sign);
        if enough(&signs) {
            let _ = sender.try_send(());
        }
    };
    let open = store::open_noting(&place.url, Birth::Real, &mut note);
    let release = async {
        is_enough.recv().await.expect("the sender stays");
        then.await;
    };
    let opened = async { tokio::join!(open, release) };
    let (opened, ()) =
        tokio::time::timeout(Duration::from_secs(60), opened).await.expect("seen and released");
    opened.expect("the store opens in the end");
    signs
}

#[tokio::test]
async fn a_long_migration_is_seen_at_work_for_as_long_as_it_runs() {
    let place = Place::postgres().await;
    place.execute(servers::SLOW_MIGRATION).await;
    let at_work = |signs: &[OpeningSign]| signs.ends_with(&[OpeningSign::AtWork; 2]);
    open_until(&place, at_work, place.execute(servers::END_OF_SLOW_MIGRATION)).await;
}

#[tokio::test]
async fn a_migration_that_waits_for_a_lock_is_seen_still() {
    let place = Place::postgres().await;
    drop(place.open().await);
    let client = place.client().await;
    client
        .batch_execute("BEGIN; LOCK TABLE __diesel_schema_migrations IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("nobody else has it");
    let still = |signs: &[OpeningSign]| signs.ends_with(&[OpeningSign::Still; 2]);
    open_until(&place, still, async { client.batch_execute("ROLLBACK").await.expect("unlocks") }).await;
}
