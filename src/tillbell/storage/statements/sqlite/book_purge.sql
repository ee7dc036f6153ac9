-- name: stale_requests
-- Those of bulk providers go sooner. Indexes: callback_requests_callback, callback_requests_bulk.
SELECT callback_id FROM callback_requests WHERE callback_id < :oldest_kept
UNION SELECT callback_id FROM callback_requests WHERE is_bulk AND callback_id < :oldest_bulk
LIMIT :limit;
