//! What the jobs show of themselves, readable whatever hangs, and the orders they take.

use super::{
    JobName,
    explain::{ExplainError, ExplainQuestion, Explanation},
    plan::CATCH_UP_DAYS,
    rejudge::Rejudged,
    replay::{Verified, VerifyError},
};
use crate::{
    market::{Timestamp, TradingDate},
    store::{JobRun, RunState},
};
use chrono::Days;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};
use tokio::sync::{Notify, oneshot};

/// What a job is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    #[default]
    Idle,
    Running,
    /// It failed and is tried again.
    Retrying,
    /// It failed as often as it may for a day: it waits for an operator or for another day.
    Failed,
}

impl JobState {
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Idle => "idle",
            JobState::Running => "running",
            JobState::Retrying => "waiting_for_retry",
            JobState::Failed => "failed",
        }
    }
}

/// A job at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobView {
    pub state: JobState,
    /// `None` where no time is known: what it waits for happens some time, or never.
    pub next_due: Option<Timestamp>,
    /// The run that began last.
    pub last_run: Option<JobRun>,
}

/// Shared by the jobs' children and the control side.
#[derive(Debug, Default)]
pub struct JobBoard {
    desks: [Desk; JobName::ALL.len()],
    keep_days: AtomicU32,
}

#[derive(Debug, Default)]
struct Desk {
    sheet: Mutex<Sheet>,
    /// The job's child is to look again.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Sheet {
    state: JobState,
    next_due: Option<Timestamp>,
    /// Of the last days, by day and number. `None` until the store was asked for them.
    runs: Option<BTreeMap<(TradingDate, u32), JobRun>>,
    /// Days whose last word counts no more: they are to be worked on once again.
    reopened: BTreeSet<TradingDate>,
    order: Option<Order>,
    comparison: Option<Comparison>,
    inquiry: Option<Inquiry>,
}

/// A day whose log somebody wants compared with the store at once, whatever is due.
#[derive(Debug)]
pub(super) struct Comparison {
    pub date: TradingDate,
    pub answer: oneshot::Sender<Result<Verified, VerifyError>>,
}

/// What is to be found out by a replay at once.
#[derive(Debug)]
pub(super) enum Inquiry {
    Explain(ExplainQuestion, oneshot::Sender<ExplainAnswer>),
    Rejudge(TradingDate, oneshot::Sender<Result<Rejudged, VerifyError>>),
}

impl Inquiry {
    /// Its caller is gone.
    fn is_closed(&self) -> bool {
        match self {
            Inquiry::Explain(_, answer) => answer.is_closed(),
            Inquiry::Rejudge(_, answer) => answer.is_closed(),
        }
    }
}

/// Why a row states what it does, or why that cannot be told.
pub type ExplainAnswer = Result<Explanation, ExplainError>;

/// The answer of a job's child to an order: why it does not follow, if it does not.
pub type OrderAnswer = Result<(), String>;

type Order = oneshot::Sender<OrderAnswer>;

impl JobBoard {
    pub fn view(&self, job: JobName) -> JobView {
        let sheet = self.sheet(job);
        let last_run = sheet.runs.iter().flat_map(BTreeMap::values).max_by_key(|run| run.started).cloned();
        JobView { state: sheet.state, next_due: sheet.next_due, last_run }
    }

    /// What an operator should do something about, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for job in JobName::ALL {
            let sheet = self.sheet(job);
            let runs = || sheet.runs.iter().flat_map(BTreeMap::values);
            if job == JobName::Verify {
                let days = last_words(runs());
                let faulty = days.values().filter(|run| run.state == RunState::Faulty);
                problems.extend(faulty.map(|run| {
                    let (date, error) = (run.session_date, run.error.as_deref().unwrap_or_default());
                    format!("{error}; `bhavctl replay verify {date}` shows it")
                }));
            }
            if sheet.state == JobState::Failed {
                let last = runs().filter(|run| run.state == RunState::Failed).max_by_key(|run| run.started);
                let error = last.and_then(|run| run.error.as_deref()).unwrap_or_default();
                problems.push(format!(
                    "the job {job} failed too often: {error}; `bhavctl jobs run {job}` tries it again"
                ));
            }
        }
        problems
    }

    /// Has the job verify look at a day again, whatever it said of it: its log was found to be another one than before.
    pub fn reopen(&self, date: TradingDate) {
        self.sheet(JobName::Verify).reopened.insert(date);
        self.desk(JobName::Verify).wake.notify_one();
    }

    pub(super) fn reopened(&self, job: JobName) -> BTreeSet<TradingDate> {
        self.sheet(job).reopened.clone()
    }

    /// Has a job run at once. The answer comes from its child; nothing comes if the child does not take the order.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn order(&self, job: JobName) -> Result<oneshot::Receiver<OrderAnswer>, String> {
        let mut sheet = self.sheet(job);
        if sheet.state == JobState::Running {
            return Err(format!("{job} runs already"));
        }
        let (order, answer) = oneshot::channel();
        sheet.order = Some(order);
        drop(sheet);
        self.desk(job).wake.notify_one();
        Ok(answer)
    }

    /// Has the job verify compare a day, in its thread but as no run of its own. It begins once nothing else is under way
    /// there. The answer fails if its child is restarted meanwhile.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn compare(
        &self,
        date: TradingDate,
    ) -> Result<oneshot::Receiver<Result<Verified, VerifyError>>, String> {
        let mut sheet = self.sheet(JobName::Verify);
        if sheet.comparison.as_ref().is_some_and(|waiting| !waiting.answer.is_closed()) {
            return Err("another comparison waits already".to_owned());
        }
        let (answer, answered) = oneshot::channel();
        sheet.comparison = Some(Comparison { date, answer });
        drop(sheet);
        self.desk(JobName::Verify).wake.notify_one();
        Ok(answered)
    }

    /// One that nobody waits for any more is none.
    pub(super) fn take_comparison(&self, job: JobName) -> Option<Comparison> {
        self.sheet(job).comparison.take().filter(|comparison| !comparison.answer.is_closed())
    }

    /// Has the job verify explain a row, in the way of [`JobBoard::compare`].
    ///
    /// # Errors
    /// Why not, for people.
    pub fn explain(&self, question: ExplainQuestion) -> Result<oneshot::Receiver<ExplainAnswer>, String> {
        let (answer, answered) = oneshot::channel();
        self.inquire(Inquiry::Explain(question, answer))?;
        Ok(answered)
    }

    /// Has the job verify judge a day by today's rules, in the way of [`JobBoard::compare`].
    ///
    /// # Errors
    /// Why not, for people.
    pub fn rejudge(
        &self,
        date: TradingDate,
    ) -> Result<oneshot::Receiver<Result<Rejudged, VerifyError>>, String> {
        let (answer, answered) = oneshot::channel();
        self.inquire(Inquiry::Rejudge(date, answer))?;
        Ok(answered)
    }

    fn inquire(&self, inquiry: Inquiry) -> Result<(), String> {
        let mut sheet = self.sheet(JobName::Verify);
        if sheet.inquiry.as_ref().is_some_and(|waiting| !waiting.is_closed()) {
            return Err("another replay waits already; ask again once it is done".to_owned());
        }
        sheet.inquiry = Some(inquiry);
        drop(sheet);
        self.desk(JobName::Verify).wake.notify_one();
        Ok(())
    }

    /// One whose caller is gone is none.
    pub(super) fn take_inquiry(&self, job: JobName) -> Option<Inquiry> {
        self.sheet(job).inquiry.take().filter(|inquiry| !inquiry.is_closed())
    }

    /// Days of the log to keep; 0 for all.
    pub fn keep_days(&self) -> u32 {
        self.keep_days.load(Relaxed)
    }

    pub fn set_keep_days(&self, days: u32) {
        if self.keep_days.swap(days, Relaxed) != days {
            self.desk(JobName::Retention).wake.notify_one();
        }
    }

    /// Returns when the job's child should look again.
    pub(super) async fn woken(&self, job: JobName) {
        self.desk(job).wake.notified().await;
    }

    /// An order nobody waits for any more is none.
    pub(super) fn take_order(&self, job: JobName) -> Option<Order> {
        self.sheet(job).order.take().filter(|order| !order.is_closed())
    }

    pub(super) fn show(&self, job: JobName, state: JobState, next_due: Option<Timestamp>) {
        let mut sheet = self.sheet(job);
        (sheet.state, sheet.next_due) = (state, next_due);
    }

    /// `None` until they were loaded.
    pub(super) fn runs(&self, job: JobName) -> Option<Vec<JobRun>> {
        self.sheet(job).runs.as_ref().map(|runs| runs.values().cloned().collect())
    }

    /// What the store remembers; what is known better stays. Days that were faulty in the life before are looked at again: their
    /// log or their rows may have been put right.
    pub(super) fn load(&self, job: JobName, stored: Vec<JobRun>) {
        let mut sheet = self.sheet(job);
        let runs = sheet.runs.get_or_insert_default();
        for run in stored {
            if let Entry::Vacant(place) = runs.entry((run.session_date, run.attempt)) {
                place.insert(run);
            }
        }
        if job == JobName::Verify {
            let faulty = last_words(runs.values()).into_values().filter(|run| run.state == RunState::Faulty);
            let faulty: Vec<TradingDate> = faulty.map(|run| run.session_date).collect();
            sheet.reopened.extend(faulty);
        }
    }

    pub(super) fn note(&self, job: JobName, run: JobRun) {
        let mut sheet = self.sheet(job);
        if run.state == RunState::Running {
            (sheet.state, sheet.next_due) = (JobState::Running, None);
        } else {
            sheet.state = JobState::Idle;
        }
        if is_word(&run) {
            sheet.reopened.remove(&run.session_date);
        }
        let runs = sheet.runs.get_or_insert_default();
        let oldest = remembered_since(run.session_date.max(run.started.date_ist()));
        runs.insert((run.session_date, run.attempt), run);
        runs.retain(|(date, _), _| *date >= oldest);
    }

    fn desk(&self, job: JobName) -> &Desk {
        &self.desks[job as usize]
    }

    fn sheet(&self, job: JobName) -> MutexGuard<'_, Sheet> {
        self.desk(job).sheet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_word(run: &JobRun) -> bool {
    matches!(run.state, RunState::Done | RunState::Faulty)
}

/// The last word on each day, of runs in their order.
fn last_words<'a>(runs: impl Iterator<Item = &'a JobRun>) -> BTreeMap<TradingDate, &'a JobRun> {
    runs.filter(|run| is_word(run)).map(|run| (run.session_date, run)).collect()
}

/// The first day whose runs still matter: one that was missed may be made good for some days.
pub(super) fn remembered_since(today: TradingDate) -> TradingDate {
    today.checked_sub_days(Days::new(CATCH_UP_DAYS + 1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(day: u32, attempt: u32, state: RunState) -> JobRun {
        let session_date = TradingDate::from_ymd_opt(2026, 1, day).expect("a date");
        let started = Timestamp::on(session_date, chrono::NaiveTime::MIN).plus_seconds(attempt.into());
        let error = Some(format!("error {day}.{attempt}"));
        JobRun { job: "verify".to_owned(), session_date, attempt, state, started, ended: None, error }
    }

    #[test]
    fn what_is_known_better_stays_and_what_is_old_goes() {
        let board = JobBoard::default();
        assert_eq!(board.runs(JobName::Verify), None);
        board.note(JobName::Verify, run(20, 1, RunState::Done));
        board.load(JobName::Verify, vec![run(20, 1, RunState::Running), run(19, 1, RunState::Done)]);
        let expected = vec![run(19, 1, RunState::Done), run(20, 1, RunState::Done)];
        assert_eq!(board.runs(JobName::Verify), Some(expected));
        assert_eq!(board.view(JobName::Verify).last_run, Some(run(20, 1, RunState::Done)));
        board.note(JobName::Verify, run(28, 1, RunState::Done));
        let days: Vec<u32> = board
            .runs(JobName::Verify)
            .expect("loaded")
            .iter()
            .map(|run| chrono::Datelike::day(&run.session_date))
            .collect();
        assert_eq!(days, [20, 28]);
    }

    #[test]
    fn the_last_word_on_a_day_is_the_problem() {
        let board = JobBoard::default();
        board.note(JobName::Verify, run(20, 1, RunState::Faulty));
        board.note(JobName::Verify, run(21, 1, RunState::Faulty));
        board.note(JobName::Verify, run(21, 2, RunState::Done));
        board.note(JobName::Verify, run(21, 3, RunState::Interrupted));
        assert_eq!(board.problems(), ["error 20.1; `bhavctl replay verify 2026-01-20` shows it"]);
        board.note(JobName::Archive, run(21, 1, RunState::Failed));
        board.show(JobName::Archive, JobState::Failed, None);
        let failed =
            "the job archive failed too often: error 21.1; `bhavctl jobs run archive` tries it again";
        assert_eq!(board.problems()[0], failed);
    }

    #[test]
    fn a_day_is_reopened_until_the_next_word_on_it() {
        let board = JobBoard::default();
        let stored = vec![
            run(19, 1, RunState::Faulty),
            run(19, 2, RunState::Done),
            run(20, 1, RunState::Done),
            run(20, 2, RunState::Faulty),
            run(20, 3, RunState::Interrupted),
        ];
        board.load(JobName::Retention, stored.clone());
        assert!(board.reopened(JobName::Retention).is_empty());
        board.load(JobName::Verify, stored);
        let reopened = || {
            let days = board.reopened(JobName::Verify);
            days.iter().map(chrono::Datelike::day).collect::<Vec<u32>>()
        };
        assert_eq!(reopened(), [20], "faulty in the life before");
        board.reopen(run(19, 1, RunState::Done).session_date);
        board.note(JobName::Verify, run(19, 3, RunState::Running));
        assert_eq!(reopened(), [19, 20], "its log was found to lack a part");
        board.note(JobName::Verify, run(19, 3, RunState::Faulty));
        board.note(JobName::Verify, run(20, 4, RunState::Done));
        assert_eq!(reopened(), [0; 0]);
    }

    #[tokio::test]
    async fn an_order_is_taken_once_and_only_while_somebody_waits() {
        let board = JobBoard::default();
        let answer = board.order(JobName::Archive).expect("idle");
        board.woken(JobName::Archive).await;
        board.take_order(JobName::Archive).expect("an order").send(Ok(())).expect("it waits");
        assert_eq!(answer.await, Ok(Ok(())));
        assert!(board.take_order(JobName::Archive).is_none());
        drop(board.order(JobName::Archive).expect("idle"));
        assert!(board.take_order(JobName::Archive).is_none(), "nobody waits");
        board.note(JobName::Archive, run(20, 1, RunState::Running));
        assert!(board.order(JobName::Archive).expect_err("refused").contains("runs already"));
    }
}
