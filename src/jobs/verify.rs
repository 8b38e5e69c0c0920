//! Replays a finished day's log and compares it with the store; also any day, at once, when asked.

use super::{
    Outcome,
    board::{Comparison, Inquiry},
    child::{JobParts, Shift, Surroundings},
    explain::explain_row,
    rejudge::rejudge_day,
    replay::{Verdict, Verified, VerifyError, verify_day},
};
use crate::{actor::Pulse, logging::Event, market::TradingDate};
use std::time::Duration;
use tokio::sync::oneshot;

/// Replays of a day that is over, and of which rows are on their way to the store each time.
const ATTEMPTS: u32 = 4;
/// How often, and how many times, it is looked whether the store has everything.
const SETTLE_LOOK: Duration = Duration::from_millis(50);
const SETTLE_LOOKS: u32 = 100;

impl Shift {
    pub async fn verify(&self, date: TradingDate) -> Outcome {
        let verified = match self.replay(date).await {
            Ok(verified) => verified,
            Err(error @ VerifyError::NoLog { .. }) => return Outcome::Done(Some(error.to_string())),
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let verdict = verified.verdict();
        if verdict == Verdict::Equal {
            log::info!(
                event = Event::DayVerified, date:%;
                "the log of {date} gives what the store holds, {} records replayed", verified.records
            );
            return Outcome::Done(None);
        }
        if verdict == Verdict::OtherRules {
            let remark = describe_other_rules(date);
            log::info!(date:%, remark; "{remark}");
            return Outcome::Done(Some(remark));
        }
        if verdict == Verdict::Incomplete {
            let lost = verified.losses.join("; ");
            log::error!(event = Event::SpoolIncomplete, date:%; "{lost}");
            return Outcome::Faulty(lost);
        }
        let difference = describe(date, &verified);
        log::error!(event = Event::DayDiffers, date:%, difference; "{difference}");
        Outcome::Faulty(difference)
    }

    /// When asked, for as long as the caller waits.
    pub async fn compare(&self, mut wanted: Comparison) {
        let compared = tokio::select! {
            biased;
            _ = self.lease.stopping() => return,
            () = wanted.answer.closed() => return,
            compared = self.replay(wanted.date) => compared,
        };
        // The caller may be gone right now.
        let _ = wanted.answer.send(compared);
    }

    /// The same of what else a replay tells.
    pub async fn find_out(&self, inquiry: Inquiry) {
        let JobParts { store_url, spool_directory, settings, .. } = &self.parts;
        let pulse = self.lease.pulse();
        match inquiry {
            Inquiry::Explain(question, answer) => {
                let work = explain_row(store_url, spool_directory, settings, &question, pulse);
                self.answer(answer, work).await;
            }
            Inquiry::Rejudge(date, answer) => {
                let work = rejudge_day(store_url, spool_directory, settings, date, pulse);
                self.answer(answer, work).await;
            }
        }
    }

    async fn answer<Answer>(&self, mut answer: oneshot::Sender<Answer>, work: impl Future<Output = Answer>) {
        let found = tokio::select! {
            biased;
            _ = self.lease.stopping() => return,
            () = answer.closed() => return,
            found = work => found,
        };
        // The caller may be gone right now.
        let _ = answer.send(found);
    }

    /// Rows of the running day are on their way to the store while records come: only that they are equal says something
    /// then, or that the log lacks a part. After the close few come, so it is looked again.
    async fn replay(&self, date: TradingDate) -> Result<Verified, VerifyError> {
        let JobParts { store_url, spool_directory, settings, daemon, .. } = &self.parts;
        let session = settings.calendar.session(date);
        let mut attempts = 0;
        loop {
            let settled_seq = settled_seq(&**daemon, self.lease.pulse()).await;
            let verified = verify_day(store_url, spool_directory, settings, date, self.lease.pulse()).await?;
            let is_still = settled_seq.is_some_and(|seq| daemon.last_seq() == seq);
            let says_all = verified.is_equal() || !verified.losses.is_empty() || is_still;
            if says_all || date != self.now().date_ist() {
                return Ok(verified);
            }
            let is_open = session.as_ref().is_some_and(|session| self.now() < session.close);
            attempts += 1;
            if is_open || attempts == ATTEMPTS {
                return Err(VerifyError::StillRecorded { date, when: when_to_ask(is_open) });
            }
        }
    }
}

/// The log's last record, once the store has everything up to it; `None` where that takes too long. The job's own row is on
/// its way when it begins.
async fn settled_seq(daemon: &dyn Surroundings, pulse: &Pulse) -> Option<u64> {
    for _ in 0..SETTLE_LOOKS {
        let seq = daemon.last_seq();
        if daemon.is_settled(seq) {
            return Some(seq);
        }
        pulse.progress();
        tokio::time::sleep(SETTLE_LOOK).await;
    }
    None
}

/// When the rows of the running day may have reached the store. After the close records of time alone still come.
fn when_to_ask(is_open: bool) -> &'static str {
    if is_open {
        "after the close"
    } else {
        "in a minute, or on the next day, when no record of it comes any more"
    }
}

fn describe_other_rules(date: TradingDate) -> String {
    format!(
        "another version's rules judged {date}, and its log does not have those of this one: it cannot be held to them"
    )
}

fn describe(date: TradingDate, verified: &Verified) -> String {
    let tables: Vec<String> = verified
        .tables
        .iter()
        .filter(|table| table.different > 0)
        .map(|table| format!("{} rows of {}", table.different, table.table))
        .collect();
    let cause = verified.likely_cause.iter().map(|cause| format!("; {cause}")).collect::<String>();
    format!("the log of {date} does not give what the store holds: {} differ{cause}", tables.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actor::Lease, spool::NewRecord, store::Checkpoint};
    use futures_util::future::LocalBoxFuture;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// A daemon that appends a record between any two looks; its store is `behind` records back, fewer at each look.
    struct Catching {
        seq: AtomicU64,
        behind: AtomicU64,
    }

    impl Surroundings for Catching {
        fn is_settled(&self, seq: u64) -> bool {
            let behind = self.behind.load(Relaxed);
            self.behind.store(behind.saturating_sub(1), Relaxed);
            seq + behind <= self.seq.load(Relaxed)
        }

        fn last_seq(&self) -> u64 {
            self.seq.fetch_add(1, Relaxed) + 1
        }

        fn recovery_point(&self) -> LocalBoxFuture<'_, Result<Option<Checkpoint>, String>> {
            unreachable!("nothing is removed")
        }

        fn append<'a>(&'a self, _: NewRecord, _: &'a Lease) -> LocalBoxFuture<'a, Result<(), String>> {
            unreachable!("nothing is recorded")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_are_on_their_way_are_waited_for() {
        let catching = |behind| Catching { seq: AtomicU64::new(10), behind: AtomicU64::new(behind) };
        assert_eq!(settled_seq(&catching(0), &Pulse::default()).await, Some(11));
        assert_eq!(settled_seq(&catching(3), &Pulse::default()).await, Some(14), "up to the newest by then");
        let never = catching(u64::from(SETTLE_LOOKS) + 1);
        let began = tokio::time::Instant::now();
        assert_eq!(settled_seq(&never, &Pulse::default()).await, None);
        assert_eq!(began.elapsed(), SETTLE_LOOK * SETTLE_LOOKS, "and not for ever");
    }

    #[test]
    fn after_the_close_no_answer_refers_to_it() {
        let said = |is_open| {
            let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
            VerifyError::StillRecorded { date, when: when_to_ask(is_open) }.to_string()
        };
        assert!(said(true).ends_with("ask again after the close"), "{}", said(true));
        assert!(
            said(false).contains("ask again in a minute") && !said(false).contains("close"),
            "{}",
            said(false)
        );
    }
}
