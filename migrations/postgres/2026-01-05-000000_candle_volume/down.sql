DROP VIEW candles_5m;

CREATE VIEW candles_5m AS
SELECT
    to_char(to_timestamp(c.start / 1000000 + 19800) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0::double precision AS "open", c.high_e4 / 10000.0::double precision AS high, c.low_e4 / 10000.0::double precision AS low, c.close_e4 / 10000.0::double precision AS "close", c.volume,
    c.resolve_required
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;
