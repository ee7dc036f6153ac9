-- name: stale_requests
-- Those of bulk providers go sooner. Indexes: primary key, callback_requests_bulk.
SELECT callback_id FROM callback_requests WHERE callback_id < :oldest_kept
UNION SELECT callback_id FROM callback_requests WHERE is_bulk = 1 AND callback_id < :oldest_bulk
ORDER BY callback_id LIMIT :limit;
