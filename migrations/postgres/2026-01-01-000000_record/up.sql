-- Times are microseconds of UTC since 1970; dates are 'YYYY-MM-DD' in India; prices end in _e4 and are 1/10,000 rupee;
-- open interest and volumes are units, never lots. The views below turn times into IST text and prices into rupees.

CREATE TABLE store_identity (
    id SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
    birth TEXT COLLATE "C" NOT NULL CHECK (birth IN ('real', 'simulated'))
);

-- The names behind the numbers in the columns provider and state; filled by bhavd when it opens the store.
CREATE TABLE providers (
    code SMALLINT NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL
);

CREATE TABLE bucket_states (
    code SMALLINT NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL
);

-- The last record of the log whose outcome is stored, for each session.
CREATE TABLE checkpoints (
    session_date TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    spool_seq BIGINT NOT NULL
);

CREATE TABLE instruments (
    id BIGINT NOT NULL PRIMARY KEY,
    exchange TEXT COLLATE "C" NOT NULL,
    symbol TEXT COLLATE "C" NOT NULL,
    underlying TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('index', 'equity', 'future', 'option')),
    expiry TEXT COLLATE "C",
    strike_e4 BIGINT,
    option_type TEXT COLLATE "C" CHECK (option_type IN ('CE', 'PE')),
    lot_size BIGINT NOT NULL,
    tick_size_e4 BIGINT NOT NULL,
    first_seen TEXT COLLATE "C" NOT NULL,
    last_seen TEXT COLLATE "C" NOT NULL,
    UNIQUE (exchange, symbol)
);
CREATE INDEX instruments_by_underlying ON instruments (underlying, expiry);
CREATE INDEX instruments_underlyings ON instruments (exchange, underlying, id) WHERE kind IN ('index', 'equity');

-- Segment and token are 0 where the provider addresses contracts by their terms.
CREATE TABLE provider_symbols (
    provider SMALLINT NOT NULL,
    segment SMALLINT NOT NULL,
    token BIGINT NOT NULL,
    instrument BIGINT NOT NULL,
    valid_from TEXT COLLATE "C" NOT NULL,
    symbol TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (provider, segment, token, instrument, valid_from)
);

CREATE TABLE intraday_option_oi (
    bucket BIGINT NOT NULL,
    instrument BIGINT NOT NULL,
    oi BIGINT,
    oi_change BIGINT,
    ltp_e4 BIGINT,
    volume BIGINT,
    bid_e4 BIGINT,
    ask_e4 BIGINT,
    iv_e4 BIGINT,
    state SMALLINT NOT NULL,
    provider SMALLINT,
    event_time BIGINT,
    received_time BIGINT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, instrument)
);

CREATE TABLE oi_delta_log (
    instrument BIGINT NOT NULL,
    event_time BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    old_oi BIGINT NOT NULL,
    new_oi BIGINT NOT NULL,
    delta BIGINT NOT NULL,
    provider SMALLINT NOT NULL,
    received_time BIGINT NOT NULL,
    PRIMARY KEY (instrument, event_time, seq)
);

CREATE TABLE price_history_intraday (
    instrument BIGINT NOT NULL,
    interval_minutes INTEGER NOT NULL,
    start BIGINT NOT NULL,
    open_e4 BIGINT NOT NULL,
    high_e4 BIGINT NOT NULL,
    low_e4 BIGINT NOT NULL,
    close_e4 BIGINT NOT NULL,
    volume BIGINT NOT NULL,
    provider SMALLINT NOT NULL,
    revision INTEGER NOT NULL,
    resolve_required SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, interval_minutes, start)
);

CREATE TABLE price_history_daily (
    instrument BIGINT NOT NULL,
    date TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    open_e4 BIGINT NOT NULL,
    high_e4 BIGINT NOT NULL,
    low_e4 BIGINT NOT NULL,
    close_e4 BIGINT NOT NULL,
    volume BIGINT NOT NULL,
    provider SMALLINT NOT NULL,
    revision INTEGER NOT NULL,
    resolve_required SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, date)
);

-- Our own close, and room for the exchange's: the daemon writes no official value, reason or finality. They are for
-- whoever imports the exchange's end-of-day file; difference is official less own.
CREATE TABLE daily_option_oi (
    trading_date TEXT COLLATE "C" NOT NULL,
    instrument BIGINT NOT NULL,
    oi BIGINT,
    ltp_e4 BIGINT,
    volume BIGINT,
    provider SMALLINT,
    event_time BIGINT,
    official_oi BIGINT,
    official_price_e4 BIGINT,
    difference BIGINT,
    reason TEXT COLLATE "C",
    finality TEXT COLLATE "C" NOT NULL DEFAULT 'provisional' CHECK (finality IN ('provisional', 'final')),
    PRIMARY KEY (trading_date, instrument)
);
CREATE INDEX daily_option_oi_by_instrument ON daily_option_oi (instrument, trading_date);

-- Runs of buckets in one state; to_bucket is the last of the run, inclusive.
CREATE TABLE coverage (
    instrument BIGINT NOT NULL,
    from_bucket BIGINT NOT NULL,
    to_bucket BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    provider SMALLINT,
    PRIMARY KEY (instrument, from_bucket)
);

-- Spans in which nobody watched. Provider is 0 where it concerns all of them.
CREATE TABLE gaps (
    from_time BIGINT NOT NULL,
    provider SMALLINT NOT NULL,
    to_time BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (from_time, provider)
);

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
    to_char(to_timestamp(s.bucket / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist,
    s.underlying AS index_name, s.expiry AS expiry, s.strike_e4 / 10000.0::double precision AS strike,
    s.ce_oi, s.ce_oi_change, s.ce_ltp_e4 / 10000.0::double precision AS ce_ltp, s.ce_volume,
    s.pe_oi, s.pe_oi_change, s.pe_ltp_e4 / 10000.0::double precision AS pe_ltp, s.pe_volume,
    s.index_open_e4 / 10000.0::double precision AS index_open, s.index_high_e4 / 10000.0::double precision AS index_high,
    s.index_low_e4 / 10000.0::double precision AS index_low, s.index_close_e4 / 10000.0::double precision AS index_close, s.index_volume,
    ce.name AS ce_state, pe.name AS pe_state, p.name AS provider
FROM option_snapshots_e4 s
LEFT JOIN bucket_states ce ON ce.code = s.ce_state
LEFT JOIN bucket_states pe ON pe.code = s.pe_state
LEFT JOIN providers p ON p.code = s.provider;

CREATE VIEW oi_deltas AS
SELECT
    to_char(to_timestamp(d.event_time / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist,
    i.underlying AS index_name, i.expiry AS expiry, i.strike_e4 / 10000.0::double precision AS strike, i.option_type AS option_type,
    d.old_oi, d.new_oi, d.delta, p.name AS provider
FROM oi_delta_log d
JOIN instruments i ON i.id = d.instrument
LEFT JOIN providers p ON p.code = d.provider;

CREATE VIEW candles_5m AS
SELECT
    to_char(to_timestamp(c.start / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0::double precision AS "open", c.high_e4 / 10000.0::double precision AS high, c.low_e4 / 10000.0::double precision AS low, c.close_e4 / 10000.0::double precision AS "close", c.volume
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;
