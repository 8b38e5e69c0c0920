-- No row claims more than was observed: each change names its base, each underlying's bucket its state, each close the
-- state of the contract's last bucket. The new columns are NULL in rows that are there already.

-- The names behind the numbers in the column oi_base; filled by bhavd when it opens the store.
CREATE TABLE oi_bases (
    code SMALLINT NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL
);

-- What oi_change is against; NULL without a change.
ALTER TABLE intraday_option_oi ADD COLUMN oi_base SMALLINT;

-- Whether an underlying's level of a bucket was observed; the prices are in its three-minute candle.
CREATE TABLE intraday_underlying (
    bucket BIGINT NOT NULL,
    instrument BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    provider SMALLINT,
    event_time BIGINT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, instrument)
);

-- The state of the contract's last bucket of the day, and how many of the day's buckets are missing.
ALTER TABLE daily_option_oi ADD COLUMN last_state SMALLINT;
ALTER TABLE daily_option_oi ADD COLUMN missing_buckets INTEGER;

DROP VIEW option_snapshots;
DROP VIEW option_snapshots_e4;

-- Snapshots with their raw key, for queries by range: filter on bucket, which leads the key of intraday_option_oi.
-- The index columns are empty where the underlying's bucket is missing (4) and no level was observed within it. Rows of
-- stores without intraday_underlying keep them.
CREATE VIEW option_snapshots_e4 AS
SELECT
    g.bucket, g.exchange, g.underlying, g.expiry, g.strike_e4,
    g.ce_oi, g.ce_oi_change, g.ce_ltp_e4, g.ce_volume,
    g.pe_oi, g.pe_oi_change, g.pe_ltp_e4, g.pe_volume,
    c.open_e4 AS index_open_e4, c.high_e4 AS index_high_e4, c.low_e4 AS index_low_e4,
    c.close_e4 AS index_close_e4, NULLIF(c.volume, 0) AS index_volume,
    g.ce_state, g.pe_state, g.provider,
    b.state AS index_state, g.ce_oi_base, g.pe_oi_base,
    g.ce_bid_e4, g.ce_ask_e4, g.ce_iv_e4, g.pe_bid_e4, g.pe_ask_e4, g.pe_iv_e4
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
        COALESCE(max(CASE WHEN i.option_type = 'CE' THEN o.provider END), max(o.provider)) AS provider,
        max(CASE WHEN i.option_type = 'CE' THEN o.oi_base END) AS ce_oi_base,
        max(CASE WHEN i.option_type = 'PE' THEN o.oi_base END) AS pe_oi_base,
        max(CASE WHEN i.option_type = 'CE' THEN o.bid_e4 END) AS ce_bid_e4,
        max(CASE WHEN i.option_type = 'CE' THEN o.ask_e4 END) AS ce_ask_e4,
        max(CASE WHEN i.option_type = 'CE' THEN o.iv_e4 END) AS ce_iv_e4,
        max(CASE WHEN i.option_type = 'PE' THEN o.bid_e4 END) AS pe_bid_e4,
        max(CASE WHEN i.option_type = 'PE' THEN o.ask_e4 END) AS pe_ask_e4,
        max(CASE WHEN i.option_type = 'PE' THEN o.iv_e4 END) AS pe_iv_e4
    FROM intraday_option_oi o
    JOIN instruments i ON i.id = o.instrument
    WHERE i.kind = 'option'
    GROUP BY o.bucket, i.exchange, i.underlying, i.expiry, i.strike_e4
) g
LEFT JOIN (
    SELECT exchange, underlying, min(id) AS instrument
    FROM instruments WHERE kind IN ('index', 'equity') GROUP BY exchange, underlying
) u ON u.exchange = g.exchange AND u.underlying = g.underlying
LEFT JOIN intraday_underlying b ON b.bucket = g.bucket AND b.instrument = u.instrument
LEFT JOIN price_history_intraday c
    ON c.instrument = u.instrument AND c.interval_minutes = 3 AND c.start = g.bucket
    AND (b.state IS NULL OR b.state <> 4 OR b.event_time >= g.bucket);

CREATE VIEW option_snapshots AS
SELECT
    to_char(to_timestamp(s.bucket / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist,
    s.underlying AS index_name, s.expiry AS expiry, s.strike_e4 / 10000.0::double precision AS strike,
    s.ce_oi, s.ce_oi_change, s.ce_ltp_e4 / 10000.0::double precision AS ce_ltp, s.ce_volume,
    s.pe_oi, s.pe_oi_change, s.pe_ltp_e4 / 10000.0::double precision AS pe_ltp, s.pe_volume,
    s.index_open_e4 / 10000.0::double precision AS index_open, s.index_high_e4 / 10000.0::double precision AS index_high,
    s.index_low_e4 / 10000.0::double precision AS index_low, s.index_close_e4 / 10000.0::double precision AS index_close, s.index_volume,
    ce.name AS ce_state, pe.name AS pe_state, p.name AS provider,
    b.name AS index_state, cb.name AS ce_oi_base, pb.name AS pe_oi_base,
    s.ce_bid_e4 / 10000.0::double precision AS ce_bid, s.ce_ask_e4 / 10000.0::double precision AS ce_ask, s.ce_iv_e4 / 10000.0::double precision AS ce_iv,
    s.pe_bid_e4 / 10000.0::double precision AS pe_bid, s.pe_ask_e4 / 10000.0::double precision AS pe_ask, s.pe_iv_e4 / 10000.0::double precision AS pe_iv
FROM option_snapshots_e4 s
LEFT JOIN bucket_states ce ON ce.code = s.ce_state
LEFT JOIN bucket_states pe ON pe.code = s.pe_state
LEFT JOIN providers p ON p.code = s.provider
LEFT JOIN bucket_states b ON b.code = s.index_state
LEFT JOIN oi_bases cb ON cb.code = s.ce_oi_base
LEFT JOIN oi_bases pb ON pb.code = s.pe_oi_base;

-- resolve_required: something of the candle was not seen, or was contradicted.
DROP VIEW candles_5m;

CREATE VIEW candles_5m AS
SELECT
    to_char(to_timestamp(c.start / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0::double precision AS "open", c.high_e4 / 10000.0::double precision AS high, c.low_e4 / 10000.0::double precision AS low, c.close_e4 / 10000.0::double precision AS "close", c.volume,
    c.resolve_required
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;
