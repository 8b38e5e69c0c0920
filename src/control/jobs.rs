//! Scheduled jobs: what they do, what became of their runs, and having one run by hand.

use super::WallTime;
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};

/// The last runs of one job, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobHistoryRequest {
    #[serde(default)]
    pub job: Option<String>,
    /// Rows at most; [`JobHistoryRequest::LIMIT_DEFAULT`] if not given, [`JobHistoryRequest::LIMIT_MAX`] at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl JobHistoryRequest {
    pub const LIMIT_DEFAULT: u32 = 20;
    pub const LIMIT_MAX: u32 = 10_000;

    /// The limit to apply.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(Self::LIMIT_DEFAULT)
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// `verify`.
    pub job: String,
}

/// What a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Idle,
    Running,
    WaitingForRetry,
    /// It failed as often as it may for a day, and waits for an operator or for another day.
    Failed,
}

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRunState {
    Running,
    Done,
    /// It did its work and found a fault that trying again does not mend.
    Faulty,
    Failed,
    /// Stopped for something more important.
    Interrupted,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    pub job: String,
    /// What it does, in a few words.
    pub purpose: String,
    pub state: JobState,
    /// `None` where it waits for something that has no known time, or for nothing.
    pub next_due: Option<WallTime>,
    pub last_run: Option<JobRunRow>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRunRow {
    pub job: String,
    /// The day it was for.
    pub session_date: TradingDate,
    /// Its number among the runs for that day, from 1.
    pub attempt: u32,
    pub state: JobRunState,
    pub started: WallTime,
    pub ended: Option<WallTime>,
    /// What went wrong, or what is to be said of it though nothing did.
    pub error: Option<String>,
}

/// Every job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsResponse {
    pub jobs: Vec<JobRow>,
}

/// Runs, the one that began last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHistoryResponse {
    pub runs: Vec<JobRunRow>,
}

/// A job that was ordered to run, as it is since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJobResponse {
    pub job: JobRow,
}
