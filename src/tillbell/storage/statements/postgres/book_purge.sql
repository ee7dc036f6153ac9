-- name: stale_requests
-- Those of bulk providers go sooner. Indexes: primary key, callback_requests_bulk.
SELECT callback_id FROM callback_requests WHERE callback_id < :oldest_kept
UNION SELECT callback_id FROM callback_requests WHERE is_bulk = 1 AND callback_id < :oldest_bulk
ORDER BY callback_id LIMIT :limit;

-- name: delete_callbacks
-- Old ones that are done with. Index: primary key.
DELETE FROM callbacks WHERE id < ?1 AND id = ANY (ARRAY (
    SELECT id FROM callbacks
    WHERE id < ?1 AND outcome IS NOT NULL AND retry_at IS NULL ORDER BY id LIMIT ?2))
RETURNING id;
