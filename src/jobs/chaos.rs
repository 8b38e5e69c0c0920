//! Holds a job in the middle of its work, for tests that end the daemon there: compiled in only with the feature `chaos`.
//!
//! `BHAVD_HOLD_JOB` names the job. It stays where it is for as long as the process lives.

use super::JobName;

pub fn is_held(job: JobName) -> bool {
    std::env::var("BHAVD_HOLD_JOB").is_ok_and(|held| held == job.name())
}

/// Keeps the thread, for work that does so itself.
pub fn block(job: JobName) {
    while is_held(job) {
        std::thread::park();
    }
}

/// For work that can be dropped.
pub async fn wait(job: JobName) {
    if is_held(job) {
        std::future::pending::<()>().await;
    }
}
