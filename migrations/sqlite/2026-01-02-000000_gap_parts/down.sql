CREATE TABLE gaps_of_providers (
    from_time INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    to_time INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (from_time, provider)
) STRICT, WITHOUT ROWID;
INSERT INTO gaps_of_providers (from_time, provider, to_time, reason)
SELECT from_time, provider, to_time, reason FROM gaps WHERE part = '';
DROP TABLE gaps;
ALTER TABLE gaps_of_providers RENAME TO gaps;
