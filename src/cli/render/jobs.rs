//! Scheduled jobs and their runs.

use super::{
    Style,
    number::{date_and_time, span_ms},
    table::{Align, Grid},
};
use crate::control::{JobHistoryResponse, JobRow, JobRunRow, JobRunState, JobState, JobsResponse};

pub(super) fn list(jobs: &JobsResponse, style: Style) -> String {
    let heads = [
        ("job", Align::Left),
        ("state", Align::Left),
        ("next due", Align::Left),
        ("last run", Align::Left),
        ("took", Align::Right),
        ("outcome", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for row in &jobs.jobs {
        let run = row.last_run.as_ref();
        let texts = [
            row.job.clone(),
            state(row.state).to_owned(),
            row.next_due.map(date_and_time).unwrap_or_default(),
            run.map_or_else(|| "never".to_owned(), |run| date_and_time(run.started)),
            run.map(took).unwrap_or_default(),
            run.map(|run| outcome(run.state).to_owned()).unwrap_or_default(),
        ];
        match row.last_run.as_ref().is_some_and(|run| is_bad(run.state)) {
            true => grid.bold_row(texts),
            false => grid.row(texts),
        }
    }
    let purposes = jobs.jobs.iter().map(|row| format!("{}: {}\n", row.job, row.purpose));
    let remarks = jobs.jobs.iter().filter_map(remark);
    format!("{}\n{}{}", grid.finish(), purposes.collect::<String>(), remarks.collect::<String>())
}

/// What is to be said of a job's last run.
fn remark(row: &JobRow) -> Option<String> {
    let run = row.last_run.as_ref()?;
    let error = run.error.as_ref()?;
    Some(format!("{}, last run, for {}: {error}\n", row.job, run.session_date))
}

pub(super) fn history(history: &JobHistoryResponse, style: Style) -> String {
    if history.runs.is_empty() {
        return "no run yet\n".to_owned();
    }
    let heads = [
        ("started", Align::Left),
        ("job", Align::Left),
        ("for", Align::Left),
        ("run", Align::Right),
        ("took", Align::Right),
        ("outcome", Align::Left),
        ("", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for run in &history.runs {
        let texts = [
            date_and_time(run.started),
            run.job.clone(),
            run.session_date.to_string(),
            run.attempt.to_string(),
            took(run),
            outcome(run.state).to_owned(),
            run.error.clone().unwrap_or_default(),
        ];
        match is_bad(run.state) {
            true => grid.bold_row(texts),
            false => grid.row(texts),
        }
    }
    grid.finish()
}

/// After an order to run.
pub(super) fn ordered(row: &JobRow) -> String {
    match &row.last_run {
        Some(run) => {
            format!("{} runs for {}; `bhavctl jobs` shows what becomes of it\n", row.job, run.session_date)
        }
        None => format!("{} is about to run; `bhavctl jobs` shows what becomes of it\n", row.job),
    }
}

fn took(run: &JobRunRow) -> String {
    let span_us = run.ended.map(|ended| ended.0.us_since(run.started.0).max(0).unsigned_abs());
    span_us.map_or_else(String::new, |us| span_ms(us / 1_000))
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Idle => "idle",
        JobState::Running => "running",
        JobState::WaitingForRetry => "waiting for retry",
        JobState::Failed => "failed",
    }
}

fn outcome(state: JobRunState) -> &'static str {
    match state {
        JobRunState::Running => "running",
        JobRunState::Done => "done",
        JobRunState::Faulty => "faulty",
        JobRunState::Failed => "failed",
        JobRunState::Interrupted => "interrupted",
    }
}

fn is_bad(state: JobRunState) -> bool {
    matches!(state, JobRunState::Faulty | JobRunState::Failed)
}
