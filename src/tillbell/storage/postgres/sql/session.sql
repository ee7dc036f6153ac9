-- name: begin
-- Whatever the server's defaults: what is acknowledged is on disk, and nothing waits for ever. Set
-- for this transaction only, because a pooler may give the connection to somebody else then
-- (without one: configure_writer). A process that was stopped within one keeps its locks for less than a lease.
-- Plans are made once: of a table with 16 partitions that takes ten times as long as the work. They
-- go by indexes, row by row: a plan made while a partition was empty is used when it is full.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '10s';
SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off;

-- name: configure_connection
-- For every statement of a connection that is ours alone. Each of our statements takes less time than
-- to compile it, and JIT compiles them anew each time.
SET jit = off;

-- name: begin_read
-- The same where a pooler hands connections out for a transaction.
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL jit = off;

-- name: configure_writer
-- The same for every transaction of a connection that is ours alone.
SET synchronous_commit = on; SET lock_timeout = '10s';
SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '10s';
SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
SET enable_hashjoin = off; SET enable_mergejoin = off;

-- name: begin_configured
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: begin_migration
-- A step takes as long as it takes, and others wait for whoever is first.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '10s';
SET LOCAL jit = off;

-- name: begin_migration_step
-- Behind one that waits for a table all wait that want to write to it: rather give up soon.
SET LOCAL lock_timeout = '1s';

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: savepoint
SAVEPOINT run;

-- name: next_savepoint
-- What was done since the last one stays.
RELEASE SAVEPOINT run; SAVEPOINT run;

-- name: rollback_to_savepoint
ROLLBACK TO SAVEPOINT run;

-- name: lock_keys
-- Sorted by their number, so that two processes wait for each other in one order.
SELECT pg_advisory_xact_lock(number) FROM unnest(?1::bigint[]) AS keys (number);

-- name: schema_exists
-- A table of ours, and whether the schema holds anything at all.
SELECT to_regclass(format('%I.migrations', current_schema())) IS NOT NULL,
       (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema());

-- name: create_migrations
CREATE TABLE migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL);

-- name: applied_migrations
SELECT number, name FROM migrations ORDER BY number;

-- name: insert_migration
INSERT INTO migrations (number, name, applied_at) VALUES (?1, ?2, ?3);

-- name: add_totals
-- Each server process has a row of its own: else all commits would wait for one. And while rows
-- turn (turn_totals) another one every five seconds.
INSERT INTO totals (app_id, endpoint_id, hour, shard, waiting, sending, succeeded, failed, discarded)
SELECT c1, c2, c3,
       pg_backend_pid() % 16 + CASE WHEN current_setting('tillbell.turn', true) = 'on'
           THEN 16 + 16 * CAST(CAST(extract(epoch FROM now()) AS bigint) / 5 % 1000000 AS integer)
           ELSE 0 END,
       c4, c5, c6, c7, c8
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[], ?5::bigint[], ?6::bigint[],
            ?7::bigint[], ?8::bigint[]) AS r (c1, c2, c3, c4, c5, c6, c7, c8)
ORDER BY c1, c2, c3
ON CONFLICT (app_id, endpoint_id, hour, shard) DO UPDATE SET
    waiting = totals.waiting + excluded.waiting,
    sending = totals.sending + excluded.sending,
    succeeded = totals.succeeded + excluded.succeeded,
    failed = totals.failed + excluded.failed,
    discarded = totals.discarded + excluded.discarded;

-- name: drop_empty_totals
-- Rows that together count nothing, locked before they are added up. Those of everything stay
-- until their partition goes: here all processes would wait for each other. Index: primary key.
WITH mine AS MATERIALIZED (
    SELECT shard, waiting, sending, succeeded, failed, discarded FROM totals
    WHERE app_id = ?1 AND endpoint_id = ?2 AND hour = ?3 AND app_id <> '' ORDER BY shard FOR UPDATE)
DELETE FROM totals
WHERE app_id = ?1 AND endpoint_id = ?2 AND hour = ?3 AND shard IN (SELECT shard FROM mine)
  AND (SELECT sum(waiting) = 0 AND sum(sending) = 0 AND sum(succeeded) = 0 AND sum(failed) = 0
          AND sum(discarded) = 0 FROM mine);

-- name: put_rollups
-- Nobody else writes rows of this shard, so no commit waits for another one.
INSERT INTO rollup_minutes (start, app_id, kind, subject, shard, counts)
SELECT * FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bytea[])
ON CONFLICT (start, app_id, kind, subject, shard) DO UPDATE SET counts = excluded.counts;

-- name: probe
-- A write that changes nothing and is committed all the same. Index: primary key.
INSERT INTO totals (app_id, endpoint_id, hour, shard, waiting, sending, succeeded, failed, discarded)
VALUES ('', '', 0, pg_backend_pid() % 16, 0, 0, 0, 0, 0)
ON CONFLICT (app_id, endpoint_id, hour, shard) DO UPDATE SET waiting = totals.waiting;

-- name: database_size
SELECT pg_database_size(current_database());
