//! The daemon's scheduled jobs: work that is due at certain times, is done once, and is tried again where it failed.
//!
//! - `day_plan` notes in the log of a session's day what the days before know of its contracts.
//! - `archive` compresses hours of the log that are no longer written.
//! - `retention` removes days of the log older than `spool.keep_days`, if the store contains them whole.
//! - `verify` replays each finished day's log and compares it with the store.
//!
//! What is due is decided by `plan`, pure, from the runs that the store remembers, the calendar and the clock: so nothing
//! is forgotten or done twice over a restart. Each job is a child of its own ([`JobChild`]) and does one thing at a time.
//! Each run is a row of `job_runs`, which goes to the store through its one writer. The [`JobBoard`] shows what the jobs
//! do, and takes orders to run one at once.
//!
//! Invariants: the segment that is being written is never touched; no day is removed that the store does not contain
//! whole, that a rebuild may need, or that was found to differ; nothing heavy happens in session hours but the
//! compression of the hour that ended and a day's plan that is still owed; a run that was given up changes nothing.
//!
//! The job `verify` also answers what needs a replay, at any time: a day's comparison, why a row states what it does
//! ([`Explanation`]), and what today's rules would say of a day ([`Rejudged`]).
//!
//! Left out: schedules by configuration, and jobs that fetch anything.

mod archive;
mod board;
#[cfg(test)]
mod changed_hours_tests;
#[cfg(feature = "chaos")]
mod chaos;
mod child;
mod day_log;
mod day_plan;
mod explain;
mod plan;
mod rejudge;
mod replay;
mod retention;
#[cfg(test)]
pub(crate) mod test_day;
mod verify;

pub use board::{JobBoard, JobState, JobView};
pub use child::{JobChild, JobParts, Surroundings};
pub use explain::{
    Agreement, ExplainError, ExplainQuestion, Explanation, ProviderEvidence, RecordAt, Statement, Witness,
};
pub use rejudge::{Rejudged, StateChange};
pub use replay::{JudgedBy, TableComparison, Verdict, Verified, VerifyError};

use std::{fmt, str::FromStr};

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobName {
    DayPlan,
    Archive,
    Retention,
    Verify,
}

impl JobName {
    pub const ALL: [JobName; 4] = [JobName::DayPlan, JobName::Archive, JobName::Retention, JobName::Verify];

    /// Also the child's name, and what the column `job` says.
    pub const fn name(self) -> &'static str {
        match self {
            JobName::DayPlan => "day_plan",
            JobName::Archive => "archive",
            JobName::Retention => "retention",
            JobName::Verify => "verify",
        }
    }

    /// What it does, in a few words.
    pub const fn purpose(self) -> &'static str {
        match self {
            JobName::DayPlan => "notes in the day's log which contracts the days before know",
            JobName::Archive => "compresses ended hours of the log",
            JobName::Retention => "removes days of the log older than spool.keep_days",
            JobName::Verify => "replays the finished day's log and compares it with the store",
        }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No job is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no job {0:?}")]
pub struct UnknownJob(pub String);

impl FromStr for JobName {
    type Err = UnknownJob;

    fn from_str(text: &str) -> Result<JobName, UnknownJob> {
        Self::ALL.into_iter().find(|job| job.name() == text).ok_or_else(|| UnknownJob(text.to_owned()))
    }
}

/// How a job's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// With what is to be said of it, if anything.
    Done(Option<String>),
    /// See [`crate::store::RunState::Faulty`].
    Faulty(String),
    Failed(String),
    Interrupted(&'static str),
}
