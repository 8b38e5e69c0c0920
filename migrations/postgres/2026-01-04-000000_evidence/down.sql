DROP VIEW candles_5m;

CREATE VIEW candles_5m AS
SELECT
    to_char(to_timestamp(c.start / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0::double precision AS "open", c.high_e4 / 10000.0::double precision AS high, c.low_e4 / 10000.0::double precision AS low, c.close_e4 / 10000.0::double precision AS "close", c.volume
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;

DROP VIEW option_snapshots;
DROP VIEW option_snapshots_e4;

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

ALTER TABLE daily_option_oi DROP COLUMN missing_buckets;
ALTER TABLE daily_option_oi DROP COLUMN last_state;
DROP TABLE intraday_underlying;
ALTER TABLE intraday_option_oi DROP COLUMN oi_base;
DROP TABLE oi_bases;
-- The state 5 (unlisted) is not known before.
DELETE FROM coverage WHERE state = 5;
DELETE FROM intraday_option_oi WHERE state = 5;
DELETE FROM bucket_states WHERE code = 5;
