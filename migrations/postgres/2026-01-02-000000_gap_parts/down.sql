DELETE FROM gaps WHERE part <> '';
ALTER TABLE gaps DROP CONSTRAINT gaps_pkey;
ALTER TABLE gaps DROP COLUMN part;
ALTER TABLE gaps ADD PRIMARY KEY (from_time, provider);
