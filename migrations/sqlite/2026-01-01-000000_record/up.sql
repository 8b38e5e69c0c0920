-- Times are microseconds of UTC since 1970; dates are 'YYYY-MM-DD' in India; prices end in _e4 and are 1/10,000 rupee;
-- open interest and volumes are units, never lots. The views below turn times into IST text and prices into rupees.

CREATE TABLE store_identity (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    birth TEXT NOT NULL CHECK (birth IN ('real', 'simulated'))
) STRICT;

-- The names behind the numbers in the columns provider and state; filled by bhavd when it opens the store.
CREATE TABLE providers (
    code INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE bucket_states (
    code INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- The last record of the log whose outcome is stored, for each session.
CREATE TABLE checkpoints (
    session_date TEXT NOT NULL PRIMARY KEY,
    spool_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instruments (
    id INTEGER NOT NULL PRIMARY KEY,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    underlying TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('index', 'equity', 'future', 'option')),
    expiry TEXT,
    strike_e4 INTEGER,
    option_type TEXT CHECK (option_type IN ('CE', 'PE')),
    lot_size INTEGER NOT NULL,
    tick_size_e4 INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    UNIQUE (exchange, symbol)
) STRICT;
CREATE INDEX instruments_by_underlying ON instruments (underlying, expiry);
CREATE INDEX instruments_underlyings ON instruments (exchange, underlying, id) WHERE kind IN ('index', 'equity');

-- Segment and token are 0 where the provider addresses contracts by their terms.
CREATE TABLE provider_symbols (
    provider INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    token INTEGER NOT NULL,
    instrument INTEGER NOT NULL,
    valid_from TEXT NOT NULL,
    symbol TEXT NOT NULL,
    PRIMARY KEY (provider, segment, token, instrument, valid_from)
) STRICT, WITHOUT ROWID;

CREATE TABLE intraday_option_oi (
    bucket INTEGER NOT NULL,
    instrument INTEGER NOT NULL,
    oi INTEGER,
    oi_change INTEGER,
    ltp_e4 INTEGER,
    volume INTEGER,
    bid_e4 INTEGER,
    ask_e4 INTEGER,
    iv_e4 INTEGER,
    state INTEGER NOT NULL,
    provider INTEGER,
    event_time INTEGER,
    received_time INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, instrument)
) STRICT, WITHOUT ROWID;

CREATE TABLE oi_delta_log (
    instrument INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    old_oi INTEGER NOT NULL,
    new_oi INTEGER NOT NULL,
    delta INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    received_time INTEGER NOT NULL,
    PRIMARY KEY (instrument, event_time, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE price_history_intraday (
    instrument INTEGER NOT NULL,
    interval_minutes INTEGER NOT NULL,
    start INTEGER NOT NULL,
    open_e4 INTEGER NOT NULL,
    high_e4 INTEGER NOT NULL,
    low_e4 INTEGER NOT NULL,
    close_e4 INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    resolve_required INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, interval_minutes, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE price_history_daily (
    instrument INTEGER NOT NULL,
    date TEXT NOT NULL,
    start INTEGER NOT NULL,
    open_e4 INTEGER NOT NULL,
    high_e4 INTEGER NOT NULL,
    low_e4 INTEGER NOT NULL,
    close_e4 INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    resolve_required INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, date)
) STRICT, WITHOUT ROWID;

-- Our own close, and room for the exchange's: the daemon writes no official value, reason or finality. They are for
-- whoever imports the exchange's end-of-day file; difference is official less own.
CREATE TABLE daily_option_oi (
    trading_date TEXT NOT NULL,
    instrument INTEGER NOT NULL,
    oi INTEGER,
    ltp_e4 INTEGER,
    volume INTEGER,
    provider INTEGER,
    event_time INTEGER,
    official_oi INTEGER,
    official_price_e4 INTEGER,
    difference INTEGER,
    reason TEXT,
    finality TEXT NOT NULL DEFAULT 'provisional' CHECK (finality IN ('provisional', 'final')),
    PRIMARY KEY (trading_date, instrument)
) STRICT, WITHOUT ROWID;
CREATE INDEX daily_option_oi_by_instrument ON daily_option_oi (instrument, trading_date);

-- Runs of buckets in one state; to_bucket is the last of the run, inclusive.
CREATE TABLE coverage (
    instrument INTEGER NOT NULL,
    from_bucket INTEGER NOT NULL,
    to_bucket INTEGER NOT NULL,
    state INTEGER NOT NULL,
    provider INTEGER,
    PRIMARY KEY (instrument, from_bucket)
) STRICT, WITHOUT ROWID;

-- Spans in which nobody watched. Provider is 0 where it concerns all of them.
CREATE TABLE gaps (
    from_time INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    to_time INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (from_time, provider)
) STRICT, WITHOUT ROWID;

-- Snapshots with their raw key, for queries by range: filter on bucket, which leads the key of intraday_option_oi.
CREATE VIEW option_snapshots_e4 AS
SELECT
    g.bucket, g.exchange, g.underlying, g.expiry, g.strike_e4,
    g.ce_oi, g.ce_oi_change, g.ce_ltp_e4, g.ce_volume,
    g.pe_oi, g.pe_oi_change, g.pe_ltp_e4, g.pe_volume,
    c.open_e4 AS index_open_e4, c.high_e4 AS index_high_e4, c.low_e4 AS index_low_e4,
    c.close_e4 AS index_close_e4, c.volume AS index_volume,
    g.ce_state, g.pe_state, g.provider
FROM (
    SELECT
        o.bucket, i.exchange, i.underlying, i.expiry, i.strike_e4,
        max(CASE WHEN i.option_type = 'CE' THEN o.oi END) AS ce_oi,
        max(CASE WHEN i.option_type = 'CE' THEN o.oi_change END) AS ce_oi_change,
        max(CASE WHEN i.option_type = 'CE' THEN o.ltp_e4 END) AS ce_ltp_e4,
        max(CASE WHEN i.option_type = 'CE' THEN o.volume END) AS ce_volume,
        max(CASE WHEN i.option_type = 'PE' THEN o.oi END) AS pe_oi,
        max(CASE WHEN i.option_type = 'PE' THEN o.oi_change END) AS pe_oi_change,
        max(CASE WHEN i.option_type = 'PE' THEN o.ltp_e4 END) AS pe_ltp_e4,
        max(CASE WHEN i.option_type = 'PE' THEN o.volume END) AS pe_volume,
        max(CASE WHEN i.option_type = 'CE' THEN o.state END) AS ce_state,
        max(CASE WHEN i.option_type = 'PE' THEN o.state END) AS pe_state,
        COALESCE(max(CASE WHEN i.option_type = 'CE' THEN o.provider END), max(o.provider)) AS provider
    FROM intraday_option_oi o
    JOIN instruments i ON i.id = o.instrument
    WHERE i.kind = 'option'
    GROUP BY o.bucket, i.exchange, i.underlying, i.expiry, i.strike_e4
) g
LEFT JOIN (
    SELECT exchange, underlying, min(id) AS instrument
    FROM instruments WHERE kind IN ('index', 'equity') GROUP BY exchange, underlying
) u ON u.exchange = g.exchange AND u.underlying = g.underlying
LEFT JOIN price_history_intraday c
    ON c.instrument = u.instrument AND c.interval_minutes = 3 AND c.start = g.bucket;

CREATE VIEW option_snapshots AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', s.bucket / 1000000 + 19800, 'unixepoch') AS time_ist,
    s.underlying AS index_name, s.expiry AS expiry, s.strike_e4 / 10000.0 AS strike,
    s.ce_oi, s.ce_oi_change, s.ce_ltp_e4 / 10000.0 AS ce_ltp, s.ce_volume,
    s.pe_oi, s.pe_oi_change, s.pe_ltp_e4 / 10000.0 AS pe_ltp, s.pe_volume,
    s.index_open_e4 / 10000.0 AS index_open, s.index_high_e4 / 10000.0 AS index_high,
    s.index_low_e4 / 10000.0 AS index_low, s.index_close_e4 / 10000.0 AS index_close, s.index_volume,
    ce.name AS ce_state, pe.name AS pe_state, p.name AS provider
FROM option_snapshots_e4 s
LEFT JOIN bucket_states ce ON ce.code = s.ce_state
LEFT JOIN bucket_states pe ON pe.code = s.pe_state
LEFT JOIN providers p ON p.code = s.provider;

CREATE VIEW oi_deltas AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', d.event_time / 1000000 + 19800, 'unixepoch') AS time_ist,
    i.underlying AS index_name, i.expiry AS expiry, i.strike_e4 / 10000.0 AS strike, i.option_type AS option_type,
    d.old_oi, d.new_oi, d.delta, p.name AS provider
FROM oi_delta_log d
JOIN instruments i ON i.id = d.instrument
LEFT JOIN providers p ON p.code = d.provider;

CREATE VIEW candles_5m AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', c.start / 1000000 + 19800, 'unixepoch') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0 AS "open", c.high_e4 / 10000.0 AS high, c.low_e4 / 10000.0 AS low, c.close_e4 / 10000.0 AS "close", c.volume
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;
