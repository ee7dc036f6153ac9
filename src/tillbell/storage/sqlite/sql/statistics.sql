-- fragment: minutes
minute (start) AS (
    SELECT :since UNION ALL
    SELECT start + 60000000 FROM minute WHERE start + 60000000 < :until)

-- name: rollup_minutes
-- One look-up a minute and subject. Index: primary key.
WITH RECURSIVE {minutes}
SELECT r.subject, r.start, r.counts
FROM minute CROSS JOIN json_each(:subjects) wanted CROSS JOIN rollup_minutes r
    ON r.start = minute.start AND r.app_id = :app_id AND r.kind = :kind
    AND r.subject = wanted.value;

-- name: rollup_hours
-- Index: primary key.
SELECT r.subject, r.start, r.until, r.counts
FROM json_each(:subjects) wanted CROSS JOIN rollup_hours r
    ON r.app_id = :app_id AND r.kind = :kind AND r.subject = wanted.value
WHERE r.start >= :since AND r.start < :until;

-- name: subjects_of_minutes
-- Index: primary key.
WITH RECURSIVE {minutes}
SELECT r.subject, r.start, r.counts FROM minute CROSS JOIN rollup_minutes r
    ON r.start = minute.start AND r.app_id = :app_id AND r.kind = :kind
WHERE :limit > 0;

-- name: subjects_of_hours
-- From one subject to the next, and of each the hours of the period. Index: primary key.
WITH RECURSIVE subjects (subject, number) AS (
    SELECT min(subject), 1 FROM rollup_hours WHERE app_id = :app_id AND kind = :kind
    UNION ALL
    SELECT (SELECT min(subject) FROM rollup_hours
            WHERE app_id = :app_id AND kind = :kind AND subject > subjects.subject), number + 1
    FROM subjects WHERE subjects.subject IS NOT NULL AND number < :limit)
SELECT r.subject, r.start, r.until, r.counts FROM subjects CROSS JOIN rollup_hours r
    ON r.app_id = :app_id AND r.kind = :kind AND r.subject = subjects.subject
WHERE r.start >= :since AND r.start < :until;

-- name: locked_rollup_progress
-- Nobody else writes.
SELECT hours_until, minutes_from, sums_until FROM rollup_progress WHERE id = 1;

-- name: advance_rollup_progress
INSERT INTO rollup_progress (id, hours_until, minutes_from, sums_until) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET
    hours_until = max(hours_until, excluded.hours_until),
    minutes_from = max(minutes_from, excluded.minutes_from),
    sums_until = max(sums_until, excluded.sums_until);

-- name: put_rollup_hours
-- Sums in which more minutes are stay. Index: primary key.
INSERT INTO rollup_hours (app_id, kind, subject, start, until, counts)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (app_id, kind, subject, start) DO UPDATE SET
    until = excluded.until, counts = excluded.counts
WHERE excluded.until >= rollup_hours.until;

-- name: delete_rollup_minutes
-- Index: primary key.
DELETE FROM rollup_minutes WHERE (start, app_id, kind, subject, shard) IN (
    SELECT start, app_id, kind, subject, shard FROM rollup_minutes
    WHERE start < ?1 ORDER BY start LIMIT ?2);

-- name: delete_rollup_hours
-- Index: rollup_hours_start.
DELETE FROM rollup_hours WHERE (app_id, kind, subject, start) IN (
    SELECT app_id, kind, subject, start FROM rollup_hours
    WHERE start < ?1 ORDER BY start LIMIT ?2);

-- fragment: stored_minutes
minute (start) AS (
    SELECT min(start) FROM rollup_minutes
    UNION ALL
    SELECT (SELECT min(start) FROM rollup_minutes WHERE start > minute.start)
    FROM minute WHERE minute.start IS NOT NULL)

-- name: remove_app_minutes
-- Minute by minute. Index: primary key.
WITH RECURSIVE {stored_minutes}
DELETE FROM rollup_minutes WHERE start IN (SELECT start FROM minute) AND app_id = ?1;

-- name: delete_minutes_of_endpoint
-- Minute by minute. Index: primary key.
WITH RECURSIVE {stored_minutes}
DELETE FROM rollup_minutes
WHERE start IN (SELECT start FROM minute) AND app_id = ?1 AND kind = 'endpoint' AND subject = ?2;
