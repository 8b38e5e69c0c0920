-- A span may concern one option chain of a provider only. SQLite changes no primary key of a table that exists.
CREATE TABLE gaps_of_parts (
    from_time INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    part TEXT NOT NULL,
    to_time INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (from_time, provider, part)
) STRICT, WITHOUT ROWID;
INSERT INTO gaps_of_parts (from_time, provider, part, to_time, reason)
SELECT from_time, provider, '', to_time, reason FROM gaps;
DROP TABLE gaps;
ALTER TABLE gaps_of_parts RENAME TO gaps;
