//! Runs of scheduled jobs. They are the daemon's own: the log says nothing of them, so neither a replay nor a day's dump
//! has any.

use super::{
    error::StoreError,
    query::Query,
    reader::Reader,
    rows::{FromStored, date, strange},
    table::{Cell, Table},
    tables::date_text,
};
use crate::market::{Timestamp, TradingDate};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Nullable, Text},
};
use std::fmt;

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    Running,
    Done,
    /// It did its work and found a fault that trying again does not mend.
    Faulty,
    /// Trying again may help.
    Failed,
    /// It was stopped for something more important; it counts as no try.
    Interrupted,
}

impl RunState {
    pub const ALL: [RunState; 5] =
        [RunState::Running, RunState::Done, RunState::Faulty, RunState::Failed, RunState::Interrupted];

    pub const fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Faulty => "faulty",
            RunState::Failed => "failed",
            RunState::Interrupted => "interrupted",
        }
    }

    pub fn from_name(name: &str) -> Option<RunState> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One run of a job. Known by the job, the day it is for, and the number of the run for that day, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    pub job: String,
    pub session_date: TradingDate,
    pub attempt: u32,
    pub state: RunState,
    pub started: Timestamp,
    /// `None` while it runs.
    pub ended: Option<Timestamp>,
    /// What went wrong, or what is to be said of it though nothing did.
    pub error: Option<String>,
}

/// Which runs are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRunFilter {
    pub job: Option<String>,
    /// Runs for this day or later ones.
    pub since: Option<TradingDate>,
}

impl Reader {
    /// The last runs that fit the filter, the one that began last first, at most `limit`.
    pub async fn job_runs(&self, filter: &JobRunFilter, limit: u32) -> Result<Vec<JobRun>, StoreError> {
        let mut conditions = Vec::new();
        if let Some(job) = &filter.job {
            conditions.push(("job =", job.clone()));
        }
        if let Some(since) = filter.since {
            conditions.push(("session_date >=", date_text(since)));
        }
        let mut text =
            "SELECT job, session_date, attempt, state, started, ended, error FROM job_runs".to_owned();
        for (number, (condition, _)) in (1..).zip(&conditions) {
            let word = if number == 1 { "WHERE" } else { "AND" };
            text.push_str(&format!(" {word} {condition} ${number}"));
        }
        text.push_str(&format!(" ORDER BY started DESC, job, session_date DESC, attempt DESC LIMIT {limit}"));
        let query = conditions.into_iter().fold(Query::new(text), |query, (_, value)| query.text(value));
        self.rows(query).await
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredRun {
    #[diesel(sql_type = Text)]
    job: String,
    #[diesel(sql_type = Text)]
    session_date: String,
    #[diesel(sql_type = Integer)]
    attempt: i32,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    started: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    ended: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

impl FromStored for JobRun {
    type Stored = StoredRun;

    fn from_stored(row: StoredRun, store: &str) -> Result<JobRun, StoreError> {
        Ok(JobRun {
            session_date: date(&row.session_date, store)?,
            attempt: u32::try_from(row.attempt).map_err(|_| strange(store, "attempt", row.attempt))?,
            state: RunState::from_name(&row.state)
                .ok_or_else(|| strange(store, "state of a run", &row.state))?,
            started: Timestamp::from_us(row.started),
            ended: row.ended.map(Timestamp::from_us),
            error: row.error,
            job: row.job,
        })
    }
}

pub(crate) struct JobRuns;

impl Table for JobRuns {
    type Row = JobRun;
    type Key = (String, TradingDate, u32);
    const NAME: &'static str = "job_runs";
    const COLUMNS: &'static [&'static str] =
        &["job", "session_date", "attempt", "state", "started", "ended", "error"];
    const KEY: &'static [&'static str] = &["job", "session_date", "attempt"];
    // A batch of before that is repeated must not let a run that ended run again.
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.ended IS NOT NULL OR job_runs.ended IS NULL");
    const MOSTLY_NEW: bool = false;

    fn key(row: &JobRun) -> Self::Key {
        (row.job.clone(), row.session_date, row.attempt)
    }

    fn cells<'a>(row: &'a JobRun, mut put: impl FnMut(Cell<'a>)) {
        put(Cell::text(&*row.job));
        put(row.session_date.into());
        put(Cell::Int(i32::try_from(row.attempt).unwrap_or(i32::MAX)));
        put(Cell::text(row.state.name()));
        put(row.started.into());
        put(row.ended.into());
        put(row.error.as_deref().map_or(Cell::Null, Cell::text));
    }
}
