-- name: database_time
-- Microseconds since 1970. Not now(): that is when the transaction began.
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint);

-- name: put_member
-- A new member has read nothing yet, so it knows nothing that is older than the present round.
-- Index: primary key.
INSERT INTO members (id, role, sends, seen_at, backend_pid, feed_round)
VALUES (?1, ?2, ?3, ?4, pg_backend_pid(), (SELECT last_value FROM feed_rounds))
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, role = excluded.role,
    sends = excluded.sends, backend_pid = excluded.backend_pid;

-- name: remove_dead_members
-- Those who have been silent for a whole life (?1), and after a shorter silence (?2) those who have
-- lost their connection: a process that is killed loses it at once. All lose it when the server is
-- started anew, so nobody is judged by it then.
-- Not one whose row is locked: it may have been stopped in the midst of signing in, and nobody is
-- to wait for it. The server ends its transaction soon, and then its turn comes.
DELETE FROM members
WHERE id IN (
    SELECT id FROM members
    WHERE seen_at < ?1
       OR seen_at < ?2 AND backend_pid IS NOT NULL
          AND extract(epoch FROM pg_postmaster_start_time()) * 1000000 < ?1
          AND backend_pid NOT IN (SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL)
    FOR UPDATE SKIP LOCKED);

-- name: take_leadership
-- Keep the lead, or take what nobody holds; no row: somebody else has it, or is about to.
UPDATE leadership
SET term = CASE WHEN holder = ?1 AND until > ?2 THEN term ELSE term + 1 END,
    holder = ?1, until = ?3
WHERE only_one IN (SELECT only_one FROM leadership WHERE holder = ?1 OR until <= ?2
                   FOR UPDATE SKIP LOCKED)
RETURNING term;

-- name: live_workers
SELECT id FROM members WHERE sends = 1 ORDER BY id;

-- name: last_heartbeat
SELECT coalesce(max(seen_at), 0) FROM members;

-- name: oldest_transaction_age
-- Microseconds since the oldest transaction began that keeps what is dead from being removed: of
-- anybody in this database. Those of other users show only to members of pg_read_all_stats.
SELECT CAST(coalesce(max(extract(epoch FROM clock_timestamp() - began)), 0) * 1000000 AS bigint)
FROM (
    SELECT xact_start AS began FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type <> 'autovacuum worker'
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS open;

-- name: use_fresh_totals
-- Whether add_totals goes on to fresh rows: for as long as the connection lasts. Of a row that every
-- commit changes all versions are looked at that an open transaction could see.
SELECT set_config('tillbell.turn', CAST(?1 AS text), false);

-- name: delete_member
DELETE FROM members WHERE id = ?1;

-- name: release_leadership
UPDATE leadership SET until = 0 WHERE holder = ?1;

-- name: latest_record_change
-- Index: primary key.
SELECT coalesce(max(number), 0) FROM record_changes;

-- name: record_changes
-- Index: primary key.
SELECT number, kind, scope, id FROM record_changes WHERE number > ?1 ORDER BY number LIMIT ?2;

-- name: begin_feed_round
SELECT nextval('feed_rounds'), pg_notify('tillbell', 'records');

-- name: latest_feed_round
SELECT last_value FROM feed_rounds;

-- name: end_feed_round
-- Index: primary key.
UPDATE members SET feed_round = ?2 WHERE id = ?1;

-- name: members_behind
-- Members but for one that have not done a round. Those of an older version never say so.
SELECT id FROM members WHERE id <> ?1 AND feed_round < ?2;

-- name: delete_record_changes
-- Index: record_changes_age.
DELETE FROM record_changes WHERE at < ?1;

-- name: notify
SELECT pg_notify('tillbell', ?1);

-- name: listen
LISTEN tillbell;
