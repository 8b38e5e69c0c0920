-- Runs of the daemon's scheduled jobs. Not made of the log: rebuilding a store from the log gives none of these.
CREATE TABLE job_runs (
    job TEXT COLLATE "C" NOT NULL,
    session_date TEXT COLLATE "C" NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'done', 'faulty', 'failed', 'interrupted')),
    started BIGINT NOT NULL,
    ended BIGINT,
    error TEXT COLLATE "C",
    PRIMARY KEY (job, session_date, attempt)
);
