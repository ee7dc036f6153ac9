-- name: rollup_minutes
-- One look-up a minute and subject (OFFSET 0 keeps it so). Index: primary key.
SELECT r.subject, r.start, r.counts
FROM generate_series(:since::bigint, :until::bigint - 1, 60000000) AS minute (start)
CROSS JOIN json_each(:subjects) wanted CROSS JOIN LATERAL (
    SELECT subject, start, counts FROM rollup_minutes m
    WHERE m.start = minute.start AND m.app_id = :app_id AND m.kind = :kind
      AND m.subject = wanted.value
    OFFSET 0) r;

-- name: rollup_hours
-- Index: primary key.
SELECT r.subject, r.start, r.until, r.counts
FROM json_each(:subjects) wanted CROSS JOIN LATERAL (
    SELECT subject, start, until, counts FROM rollup_hours h
    WHERE h.app_id = :app_id AND h.kind = :kind AND h.subject = wanted.value
      AND h.start >= :since AND h.start < :until
    OFFSET 0) r;

-- name: subjects_of_minutes
-- Index: primary key.
SELECT r.subject, r.start, r.counts
FROM generate_series(:since::bigint, :until::bigint - 1, 60000000) AS minute (start)
CROSS JOIN LATERAL (
    SELECT subject, start, counts FROM rollup_minutes m
    WHERE m.start = minute.start AND m.app_id = :app_id AND m.kind = :kind AND :limit::bigint > 0
    OFFSET 0) r;

-- name: subjects_of_hours
-- From one subject to the next, and of each the hours of the period. Index: primary key.
WITH RECURSIVE subjects (subject, number) AS (
    (SELECT subject, 1::bigint FROM rollup_hours
     WHERE app_id = :app_id AND kind = :kind AND subject >= ''
     ORDER BY app_id, kind, subject, start LIMIT 1)
    UNION ALL
    SELECT following.subject, number + 1 FROM subjects CROSS JOIN LATERAL (
        SELECT h.subject FROM rollup_hours h
        WHERE h.app_id = :app_id AND h.kind = :kind AND h.subject > subjects.subject
        ORDER BY h.app_id, h.kind, h.subject, h.start LIMIT 1) following
    WHERE number < :limit)
SELECT r.subject, r.start, r.until, r.counts FROM subjects CROSS JOIN LATERAL (
    SELECT subject, start, until, counts FROM rollup_hours h
    WHERE h.app_id = :app_id AND h.kind = :kind AND h.subject = subjects.subject
      AND h.start >= :since AND h.start < :until
    OFFSET 0) r;

-- name: locked_rollup_progress
-- Who advances it waits until these hours are stored, and the other way round.
SELECT hours_until, minutes_from, sums_until FROM rollup_progress WHERE id = 1 FOR UPDATE;

-- name: advance_rollup_progress
INSERT INTO rollup_progress (id, hours_until, minutes_from, sums_until) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET
    hours_until = greatest(rollup_progress.hours_until, excluded.hours_until),
    minutes_from = greatest(rollup_progress.minutes_from, excluded.minutes_from),
    sums_until = greatest(rollup_progress.sums_until, excluded.sums_until);

-- name: put_rollup_hours
-- Sums in which more minutes are stay.
INSERT INTO rollup_hours (app_id, kind, subject, start, until, counts)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[], ?6::bytea[])
ON CONFLICT (app_id, kind, subject, start) DO UPDATE SET
    until = excluded.until, counts = excluded.counts
WHERE excluded.until >= rollup_hours.until;

-- name: delete_rollup_minutes
-- Index: primary key.
DELETE FROM rollup_minutes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM rollup_minutes WHERE start < ?1 ORDER BY start LIMIT ?2));

-- name: delete_rollup_hours
-- Index: rollup_hours_start.
DELETE FROM rollup_hours WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM rollup_hours WHERE start < ?1 ORDER BY start LIMIT ?2));

-- fragment: stored_minutes
WITH RECURSIVE minute (start) AS (
    (SELECT start FROM rollup_minutes ORDER BY start LIMIT 1)
    UNION ALL
    SELECT following.start FROM minute CROSS JOIN LATERAL (
        SELECT m.start FROM rollup_minutes m WHERE m.start > minute.start
        ORDER BY m.start LIMIT 1) following)

-- name: remove_app_minutes
-- Minute by minute. Index: primary key.
{stored_minutes}
DELETE FROM rollup_minutes WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM minute CROSS JOIN LATERAL (
        SELECT ctid FROM rollup_minutes m WHERE m.start = minute.start AND m.app_id = ?1
        OFFSET 0) r));

-- name: delete_minutes_of_endpoint
-- Minute by minute. Index: primary key.
{stored_minutes}
DELETE FROM rollup_minutes WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM minute CROSS JOIN LATERAL (
        SELECT ctid FROM rollup_minutes m
        WHERE m.start = minute.start AND m.app_id = ?1 AND m.kind = 'endpoint' AND m.subject = ?2
        OFFSET 0) r));

-- name: move_put_rollup_minutes
INSERT INTO rollup_minutes (start, app_id, kind, subject, shard, counts)
SELECT * FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bytea[]);

-- name: move_put_rollup_progress
INSERT INTO rollup_progress (id, hours_until, minutes_from, sums_until)
SELECT * FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[], ?4::bigint[]);

-- name: move_put_markers
INSERT INTO markers (id, app_id, endpoint_id, at, kind, text)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::text[], ?6::text[]);
