-- Lists over all applications, along primary keys.

-- name: all_callbacks
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {callback} FROM callbacks c
WHERE c.id > :low AND c.id < :high ORDER BY c.id {order} LIMIT :limit;

-- name: all_transactions
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {transaction} FROM transactions t
WHERE t.id > :low AND t.id < :high ORDER BY t.id {order} LIMIT :limit;

-- name: all_conflicts
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {conflict} FROM conflicts f
WHERE f.id > :low AND f.id < :high ORDER BY f.id {order} LIMIT :limit;

-- name: refused_by_source
-- form {among} everywhere: 1 = 1
-- form {among} of_app: c.app_id = :app_id AND c.trust IS NULL
-- Indexes: primary key, callbacks_refused.
SELECT r.app_id, r.source_id, count(*) FROM (
    SELECT c.app_id, c.source_id, c.trust FROM callbacks c
    WHERE {among} AND c.id > :low ORDER BY c.id DESC LIMIT :limit) r
WHERE r.trust IS NULL GROUP BY r.app_id, r.source_id;

-- name: count_open_conflicts
-- Of each application up to the limit. Indexes: records_id, conflicts_open.
SELECT coalesce(sum(c.number), 0) FROM (
    SELECT (SELECT count(*) FROM (
        SELECT 1 FROM conflicts f
        WHERE f.app_id = r.id AND f.resolved_at IS NULL AND f.id > :low LIMIT :limit) o) AS number
    FROM records r
    WHERE r.kind = 'Application' AND r.id > :low
      AND (CAST(:app_id AS TEXT) IS NULL OR r.id = :app_id)) c;

-- name: application_ids
-- Index: records_id.
SELECT id FROM records WHERE kind = 'Application' ORDER BY id;
