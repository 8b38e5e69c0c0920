-- A span may concern one option chain of a provider only.
ALTER TABLE gaps ADD COLUMN part TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE gaps ALTER COLUMN part DROP DEFAULT;
ALTER TABLE gaps DROP CONSTRAINT gaps_pkey;
ALTER TABLE gaps ADD PRIMARY KEY (from_time, provider, part);
