-- Counts by the minute and by the hour, and markers.

-- name: rollups_of_minute
-- Index: primary key.
SELECT app_id, kind, subject, counts FROM rollup_minutes WHERE start = ?1;

-- name: rollups_of_hour
-- Index: rollup_hours_start.
SELECT app_id, kind, subject, until, counts FROM rollup_hours WHERE start = ?1;

-- name: next_rollup_minute
-- Index: primary key.
SELECT min(start) FROM rollup_minutes WHERE start >= ?1;

-- name: rollup_progress
SELECT hours_until, minutes_from, sums_until FROM rollup_progress WHERE id = 1;

-- name: remove_app_hours
DELETE FROM rollup_hours WHERE app_id = ?1;

-- name: delete_hours_of_endpoint
-- Index: primary key.
DELETE FROM rollup_hours WHERE app_id = ?1 AND kind = 'endpoint' AND subject = ?2;

-- name: remove_app_markers
DELETE FROM markers WHERE app_id = ?1;

-- name: insert_marker
INSERT INTO markers (id, app_id, endpoint_id, at, kind, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: markers
-- form {by} everywhere: k.id > :low
-- form {by} by_app: k.app_id = :app_id
-- Indexes: primary key, markers_app.
SELECT k.id, k.app_id, k.endpoint_id, k.at, k.kind, k.text FROM markers k
WHERE {by} AND k.id > :low AND k.id < :high
  AND (CAST(:app_id AS TEXT) IS NULL OR k.app_id = :app_id)
ORDER BY k.id DESC LIMIT :limit;

-- name: delete_markers
-- Index: primary key.
DELETE FROM markers WHERE id IN (SELECT id FROM markers WHERE id < ?1 ORDER BY id LIMIT ?2);

-- name: move_read_rollup_minutes
SELECT start, app_id, kind, subject, shard, counts FROM rollup_minutes
WHERE (start, app_id, kind, subject, shard) > (?1, ?2, ?3, ?4, ?5)
ORDER BY start, app_id, kind, subject, shard LIMIT ?6;

-- name: move_read_rollup_hours
SELECT app_id, kind, subject, start, until, counts FROM rollup_hours
WHERE (app_id, kind, subject, start) > (?1, ?2, ?3, ?4)
ORDER BY app_id, kind, subject, start LIMIT ?5;

-- name: move_read_rollup_progress
SELECT id, hours_until, minutes_from, sums_until FROM rollup_progress
WHERE id > ?1 ORDER BY id LIMIT ?2;

-- name: move_read_markers
SELECT id, app_id, endpoint_id, at, kind, text FROM markers WHERE id > ?1 ORDER BY id LIMIT ?2;
