DROP VIEW candles_5m;

CREATE VIEW candles_5m AS
SELECT
    strftime('%Y-%m-%d %H:%M:%S', c.start / 1000000 + 19800, 'unixepoch') AS time_ist, i.symbol AS symbol,
    c.open_e4 / 10000.0 AS "open", c.high_e4 / 10000.0 AS high, c.low_e4 / 10000.0 AS low, c.close_e4 / 10000.0 AS "close", c.volume,
    c.resolve_required
FROM price_history_intraday c
JOIN instruments i ON i.id = c.instrument
WHERE c.interval_minutes = 5;
