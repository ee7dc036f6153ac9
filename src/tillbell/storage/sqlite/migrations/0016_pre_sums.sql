-- How far minutes are added up, each minute anew (upkeep/statistics.py): of all, and of each row,
-- because not all rows of an hour are stored in one commit.
ALTER TABLE rollup_progress ADD COLUMN sums_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_hours ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
