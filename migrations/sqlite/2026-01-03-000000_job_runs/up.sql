-- Runs of the daemon's scheduled jobs. Not made of the log: rebuilding a store from the log gives none of these.
CREATE TABLE job_runs (
    job TEXT NOT NULL,
    session_date TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'faulty', 'failed', 'interrupted')),
    started INTEGER NOT NULL,
    ended INTEGER,
    error TEXT,
    PRIMARY KEY (job, session_date, attempt)
) STRICT, WITHOUT ROWID;
