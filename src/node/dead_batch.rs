//! Rows that break the writer and are left out of the store.

use crate::{actor::Verdict, logging::Event, store::Batch};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

const FILE: &str = "dead-batches.jsonl";

/// Notes a batch that is not written, one line of JSON beside the log. The rows themselves follow from the log: a replay
/// makes them again, and says that the store does not have them.
pub fn keep(directory: &Path, batch: &Batch, verdict: &Verdict) {
    let line = serde_json::json!({
        "spool_seq": batch.spool_seq,
        "session_date": batch.session_date.to_string(),
        "rows": batch.row_count(),
        "child": &*verdict.child,
        "incarnations": verdict.incarnations,
        "reason": verdict.reason.to_string(),
    });
    let path = directory.join(FILE);
    log::error!(
        event = Event::BatchSetAside;
        "{} rows up to record {} are not written to the store: they {}; noted in {}",
        batch.row_count(),
        batch.spool_seq,
        verdict.reason,
        path.display()
    );
    if let Err(error) = append(&path, &format!("{line}\n")) {
        log::error!("{}: {error}; the line above is the only record of it", path.display());
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}
