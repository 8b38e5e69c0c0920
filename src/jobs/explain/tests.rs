use super::*;
use crate::{
    jobs::rejudge::rejudge_day,
    jobs::replay::verify_day,
    jobs::test_day::{self, Place, answer, at, body, call, clock, date, day, head, packet, put},
    market::BucketState,
    spool::{Mark, NewRecord, Skip},
};

async fn explain(
    place: &Place,
    contract: Contract,
    at: Option<Timestamp>,
) -> Result<Explanation, ExplainError> {
    let question = ExplainQuestion { contract, date: date(), at, now: test_day::at(9, 49, 30) };
    explain_row(&place.url(), &place.spool(), &PipelineSettings::of_tests(), &question, &Pulse::default())
        .await
}

async fn played() -> Place {
    let place = Place::new();
    place.play(day(true)).await;
    place
}

fn of(evidence: &[ProviderEvidence], provider: Provider) -> ProviderEvidence {
    *evidence.iter().find(|evidence| evidence.provider == provider).expect("it had said something")
}

#[tokio::test]
async fn a_stream_that_went_on_proves_what_it_did_not_repeat() {
    let explained = explain(&played().await, call(), Some(at(9, 17, 0))).await.expect("explained");
    assert_eq!((explained.bucket.start(), explained.end), (at(9, 15, 0), at(9, 18, 0)));
    let last = explained.statements.last().expect("a row");
    assert_eq!((last.row.state, last.row.open_interest), (BucketState::Live, Some(6_500)));
    let stream = of(&last.evidence, Provider::AngelOne);
    let (value, said) = stream.value.expect("a value");
    assert_eq!((value.volume(), said.received), (Some(650), at(9, 16, 0)));
    let (witness, record) = stream.witness.expect("proved");
    assert_eq!(witness, Witness::Stream { until: at(9, 18, 5) });
    assert_eq!(record.received, at(9, 18, 5));
    assert!(stream.is_recorded && said.seq < record.seq, "{said:?} {record:?}");
    let site = of(&last.evidence, Provider::Nse);
    let (value, said) = site.value.expect("a value");
    assert_eq!((value.volume(), value.event_time(), said.received), (Some(325), at(9, 16, 0), at(9, 16, 20)));
    assert_eq!((site.witness, site.reach), (None, at(9, 16, 0)));
    assert_eq!((explained.agreement, explained.judged_by), (Agreement::Equal, JudgedBy::Log));
}

#[tokio::test]
async fn the_next_packet_of_the_contract_proves_too() {
    let explained = explain(&played().await, put(), Some(at(9, 15, 0))).await.expect("explained");
    let last = explained.statements.last().expect("a row");
    let (witness, record) = of(&last.evidence, Provider::AngelOne).witness.expect("proved");
    assert_eq!(witness, Witness::Packet { stamp: at(9, 18, 5) });
    assert_eq!(record.received, at(9, 18, 5));
    // It carries the values of the bucket, not those of the packet that proves them.
    assert_eq!(last.row.open_interest, Some(208 * 65));
}

#[tokio::test]
async fn a_missing_row_says_since_when_and_why() {
    let explained = explain(&played().await, put(), Some(at(9, 23, 59))).await.expect("explained");
    let last = explained.statements.last().expect("a row");
    assert_eq!(last.row.state, BucketState::Missing);
    let stream = of(&last.evidence, Provider::AngelOne);
    assert_eq!((stream.witness, stream.reach), (None, at(9, 21, 35)));
    assert_eq!(explained.known_until, Some(at(9, 21, 35)));
    let reasons: Vec<_> =
        explained.open_gaps.iter().map(|gap| (gap.provider, gap.from, gap.reason.as_str())).collect();
    let expected = [
        (Some(Provider::Nse), at(9, 16, 0), "no data, though the market is open"),
        (Some(Provider::AngelOne), at(9, 21, 40), "the connection broke"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(explained.gaps, [], "the log does not say that any ended");
}

#[tokio::test]
async fn a_row_of_the_store_that_differs_is_told_of() {
    let mut place = Place::new();
    place.spoil = |batch| {
        let row = batch.buckets.iter_mut().find(|row| row.bucket.start() == at(9, 15, 0)).expect("a row");
        row.open_interest = Some(7);
        batch.buckets.retain(|row| row.bucket.start() != at(9, 18, 0));
    };
    place.play(day(true)).await;
    let mut told = Vec::new();
    for (contract, minute) in [(call(), 15), (put(), 15), (call(), 18)] {
        let explained = explain(&place, contract, Some(at(9, minute, 0))).await.expect("explained");
        told.push((explained.agreement, explained.stored.and_then(|row| row.open_interest)));
    }
    told.sort_by_key(|(agreement, _)| *agreement == Agreement::Different);
    let equal = (Agreement::Equal, told[0].1);
    assert_eq!(told[0], equal);
    assert!(told[1..].contains(&(Agreement::Different, Some(7))), "{told:?}");
    assert!(told[1..].contains(&(Agreement::Different, None)), "{told:?}");
}

#[test]
fn a_store_that_is_not_as_far_as_the_log_does_not_differ() {
    let row = |revision| BucketRow {
        revision,
        ..BucketRow::missing(Bucket::containing(at(9, 15, 0)), InstrumentId(1))
    };
    let stated = |seq, revision| Statement {
        record: RecordAt { seq, received: at(9, 19, 0) },
        row: row(revision),
        evidence: Vec::new(),
    };
    let statements = [stated(10, 0), stated(20, 1), stated(30, 2)];
    let judged = |stored: Option<u16>, checkpoint| compare(&statements, stored.map(row).as_ref(), checkpoint);
    assert_eq!(judged(Some(2), 30), Agreement::Equal);
    assert_eq!(judged(Some(1), 29), Agreement::Behind);
    assert_eq!(judged(Some(1), 30), Agreement::Different, "the store claims to contain the later one");
    assert_eq!(judged(Some(0), 20), Agreement::Different);
    assert_eq!(judged(None, 9), Agreement::Behind);
    assert_eq!(judged(None, 10), Agreement::Different);
}

#[tokio::test]
async fn what_cannot_be_explained_names_the_cause_and_the_next_step() {
    let place = played().await;
    let other = "NIFTY 2026-02-03 25050 CE".parse().expect("a contract");
    for (contract, at, expected) in [
        (other, None, "nearest are NIFTY 2026-02-03 25000 CE, NIFTY 2026-02-03 25000 PE"),
        (call(), Some(at(8, 0, 0)), "08:00:00 lies outside the session of 2026-01-30, 09:15 to 15:30"),
        (call(), Some(at(15, 30, 1)), "give a time within it"),
    ] {
        let error = explain(&place, contract, at).await.expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let question = ExplainQuestion {
        contract: call(),
        date: date().pred_opt().expect("a day before"),
        at: None,
        now: at(9, 49, 0),
    };
    let error = explain_row(
        &place.url(),
        &place.spool(),
        &PipelineSettings::of_tests(),
        &question,
        &Pulse::default(),
    )
    .await;
    let error = error.expect_err("no log").to_string();
    assert!(error.contains("has nothing of 2026-01-29"), "{error}");
    assert!(!error.contains("the store has rows"), "{error}");
}

#[tokio::test]
async fn of_a_day_whose_log_is_gone_the_rows_are_named() {
    let place = played().await;
    std::fs::rename(place.spool().join("2026-01-30"), place.home.path().join("away")).expect("moved");
    let error = explain(&place, call(), Some(at(9, 15, 0))).await.expect_err("no log").to_string();
    assert!(error.contains("has nothing of 2026-01-30, but the store has rows of that day"), "{error}");
    let (url, spool) = (place.url(), place.spool());
    let rejudged = rejudge_day(&url, &spool, &PipelineSettings::of_tests(), date(), &Pulse::default()).await;
    let error = rejudged.expect_err("no log").to_string();
    assert!(error.contains("put it back and start it again"), "{error}");
}

#[tokio::test]
async fn without_a_time_it_is_the_last_bucket_that_is_over() {
    let explained = explain(&played().await, call(), None).await.expect("explained");
    assert_eq!(explained.bucket.start(), at(9, 45, 0));
    assert_eq!(explained.statements, [], "it waits for proof");
}

#[tokio::test]
async fn a_log_without_rules_is_of_another_version() {
    let place = Place::new();
    place.play(day(false)).await;
    let explained = explain(&place, call(), Some(at(9, 15, 0))).await.expect("explained");
    assert_eq!(explained.judged_by, JudgedBy::OtherVersion);
}

#[tokio::test]
async fn a_bucket_that_has_not_begun_is_not_one_that_waits() {
    let place = played().await;
    let error = explain(&place, put(), Some(at(10, 30, 0))).await.expect_err("not begun").to_string();
    assert!(error.starts_with("the bucket from 10:30 of 2026-01-30 has not begun"), "{error}");
    let open = explain(&place, put(), Some(at(9, 49, 0))).await.expect("the bucket that is open");
    assert_eq!(open.bucket.start(), at(9, 48, 0));
}

#[tokio::test]
async fn a_row_of_before_a_loss_is_stated_and_not_one_that_waits() {
    let place = Place::new();
    place.play([head(true), vec![packet(at(9, 16, 0), 0, 100, 10)]].concat()).await;
    let mark = |mark: Mark| NewRecord::mark(at(9, 40, 0), &mark);
    let skip = Some(Skip::BehindStore { store_seq: 10_000, session: date() });
    let mut records = vec![
        mark(Mark::Rules { rules: PipelineSettings::of_tests().rules(date()) }),
        mark(Mark::Started { version: String::new(), skip }),
    ];
    records.extend((41..50).map(|minute| clock(at(9, minute, 0))));
    place.play_after(10_000, records).await;
    for minute in [15, 24] {
        let explained = explain(&place, call(), Some(at(9, minute, 0))).await.expect("explained");
        let last = explained.statements.last().expect("a row");
        assert_eq!(last.row.state, BucketState::Missing);
        assert!(explained.damages[0].contains("lacks records"), "{explained:?}");
    }
}

/// What proves the call's row of 09:15, of a day of these records and as many minutes without any.
async fn witness_of(records: Vec<NewRecord>) -> (BucketRow, Vec<ProviderEvidence>) {
    let place = Place::new();
    let silence = (20..49).map(|minute| clock(at(9, minute, 0)));
    place.play(head(true).into_iter().chain(records).chain(silence).collect()).await;
    let explained = explain(&place, call(), Some(at(9, 15, 0))).await.expect("explained");
    let last = explained.statements.last().expect("a row").clone();
    (last.row, last.evidence)
}

#[tokio::test]
async fn an_answer_with_other_values_bridges_and_proves_nothing() {
    for (open_interest, volume, expected) in [
        (101, 12, Witness::Body { stamp: at(9, 18, 12), is_bridged: true }),
        (100, 10, Witness::Answer { until: at(9, 18, 12) }),
    ] {
        let answered = answer(at(9, 18, 12), at(9, 18, 23), open_interest, volume);
        let (row, evidence) = witness_of(vec![packet(at(9, 16, 30), 0, 100, 10), answered]).await;
        let stream = of(&evidence, Provider::AngelOne);
        assert_eq!((row.volume, row.provider), (Some(650), Some(Provider::AngelOne)), "{evidence:?}");
        let (witness, record) = stream.witness.expect("it is proved or bridged");
        assert_eq!(witness, expected, "volume {volume}");
        // An answer with other values counts once the stream has had its time to bring them.
        assert!(at(9, 18, 23) <= record.received && record.received <= at(9, 20, 0), "{record:?}");
    }
}

#[tokio::test]
async fn rows_of_a_lost_part_are_explained_as_the_log_gives_them() {
    let place = Place::new();
    let hours = [(9, 20), (10, 20), (11, 20)];
    let bodies = hours.map(|(hour, minute)| body(at(hour, minute, 0), at(hour, minute, 10), 90, 5));
    let records = head(true).into_iter().chain(bodies).chain((30..59).map(|minute| clock(at(11, minute, 0))));
    place.play(records.collect()).await;
    std::fs::remove_file(place.spool().join("2026-01-30/10.spool")).expect("deleted");
    place.refill().await;
    let (settings, pulse) = (PipelineSettings::of_tests(), Pulse::default());
    let verified = verify_day(&place.url(), &place.spool(), &settings, date(), &pulse).await;
    let verified = verified.expect("compared");
    assert!(verified.is_equal() && verified.losses[0].contains("lacks records"), "{verified:?}");
    let mut supplemented = 0;
    for bucket in 0..40 {
        let asked = at(9, 15 + 3 * bucket, 0);
        let question = ExplainQuestion { contract: call(), date: date(), at: Some(asked), now: at(12, 0, 0) };
        let explained = explain_row(&place.url(), &place.spool(), &settings, &question, &pulse).await;
        let explained = explained.expect("explained");
        assert_eq!(explained.agreement, Agreement::Equal, "{asked}: {explained:#?}");
        let evidence = explained.statements.last().map_or(&explained.evidence, |last| &last.evidence);
        let said = evidence.iter().find_map(|evidence| evidence.value);
        let is_of_record = said.is_none_or(|(value, record)| value.received_time() == record.received);
        assert!(is_of_record, "{asked}: {said:?}");
        supplemented += usize::from(explained.statements.len() == 1 && asked < at(11, 0, 0));
    }
    assert!(supplemented > 20, "{supplemented}");
}

#[tokio::test]
async fn another_days_log_is_no_day_without_a_session() {
    let place = played().await;
    place.mix_up().await;
    let error = explain(&place, call(), Some(at(9, 15, 0))).await.expect_err("not its log").to_string();
    assert!(
        error.starts_with("the log of 2026-01-30 has no session: the log of 2026-01-30 holds"),
        "{error}"
    );
    assert!(error.contains("received on 2026-01-29") && error.contains("start it again"), "{error}");
    // A life went on in the directory.
    place.play_after(10_000, head(true).into_iter().take(2).collect()).await;
    let error = explain(&place, call(), Some(at(9, 15, 0))).await.expect_err("not its log").to_string();
    assert!(
        error.contains("does not name NIFTY 2026-02-03 25000 CE: the log of 2026-01-30 holds"),
        "{error}"
    );
}
