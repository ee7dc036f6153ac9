-- name: configure
-- Page size first: it holds only for a file that is still empty.
PRAGMA page_size = 4096;
PRAGMA busy_timeout = 5000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA journal_size_limit = 67108864;

-- name: configure_writer
PRAGMA cache_size = -49152;

-- name: configure_reader
PRAGMA query_only = ON;
PRAGMA cache_size = -8192;

-- name: copy_anew
VACUUM INTO ?1;

-- name: begin
BEGIN IMMEDIATE;

-- name: begin_reading
BEGIN;

-- name: begin_migration
BEGIN IMMEDIATE;

-- name: begin_migration_step
-- Nobody else is there.
SELECT 1;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: savepoint
SAVEPOINT run;

-- name: next_savepoint
-- What was done since the last one stays.
RELEASE run; SAVEPOINT run;

-- name: rollback_to_savepoint
ROLLBACK TO run;

-- name: schema_exists
-- A table of ours, and whether the file holds anything at all.
SELECT coalesce(max(name = 'migrations'), 0), count(*) FROM sqlite_schema;

-- name: create_migrations
CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL);

-- name: applied_migrations
SELECT number, name FROM migrations ORDER BY number;

-- name: insert_migration
INSERT INTO migrations (number, name, applied_at) VALUES (?1, ?2, ?3);

-- name: add_totals
-- Index: primary key.
INSERT INTO totals (app_id, endpoint_id, hour, waiting, sending, succeeded, failed, discarded)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (app_id, endpoint_id, hour) DO UPDATE SET
    waiting = waiting + excluded.waiting,
    sending = sending + excluded.sending,
    succeeded = succeeded + excluded.succeeded,
    failed = failed + excluded.failed,
    discarded = discarded + excluded.discarded;

-- name: drop_empty_totals
-- A time whose deliveries are all gone. Index: primary key.
DELETE FROM totals
WHERE app_id = ?1 AND endpoint_id = ?2 AND hour = ?3
  AND waiting = 0 AND sending = 0 AND succeeded = 0 AND failed = 0 AND discarded = 0;

-- name: put_rollups
-- Nobody else writes rows of this shard. Index: primary key.
INSERT INTO rollup_minutes (start, app_id, kind, subject, shard, counts)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (start, app_id, kind, subject, shard) DO UPDATE SET counts = excluded.counts;

-- name: probe
-- A write that changes nothing and is committed all the same. Index: primary key.
INSERT INTO totals (app_id, endpoint_id, hour, waiting, sending, succeeded, failed, discarded)
VALUES ('', '', 0, 0, 0, 0, 0, 0)
ON CONFLICT (app_id, endpoint_id, hour) DO UPDATE SET waiting = waiting + 0;

-- name: database_size
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size();
