-- name: expired_requests
-- Those of bulk providers go sooner. Whose they are (NULL), they do not say.
-- Indexes: callback_requests_callback, callback_requests_bulk.
SELECT NULL, callback_id FROM (
    SELECT callback_id FROM callback_requests WHERE callback_id < :oldest_kept
    UNION SELECT callback_id FROM callback_requests WHERE is_bulk AND callback_id < :oldest_bulk)
LIMIT :limit;

-- name: delete_callbacks
-- Old ones that are done with. Index: primary key.
DELETE FROM callbacks WHERE id IN (
    SELECT id FROM callbacks
    WHERE id < ?1 AND outcome IS NOT NULL AND retry_at IS NULL ORDER BY id LIMIT ?2)
RETURNING app_id, id;

-- name: delete_request
-- Index: callback_requests_callback.
DELETE FROM callback_requests WHERE callback_id = ?2;

-- name: remove_requests
-- Indexes: callbacks_app, callback_requests_callback.
DELETE FROM callback_requests
WHERE callback_id IN (SELECT id FROM callbacks WHERE app_id = ?1);

-- name: delete_keys
-- Index: callback_keys_age.
DELETE FROM callback_keys WHERE (source_id, dedupe_key) IN (
    SELECT source_id, dedupe_key FROM callback_keys
    WHERE taken_at < ?1 ORDER BY taken_at LIMIT ?2)
RETURNING 1;

-- name: delete_items
-- Index: seen_items_age.
DELETE FROM seen_items WHERE (source_id, item_key) IN (
    SELECT source_id, item_key FROM seen_items WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2)
RETURNING 1;

-- name: remove_effects
-- Indexes: transactions_app, primary key.
DELETE FROM effects WHERE transaction_id IN (SELECT id FROM transactions WHERE app_id = ?1);

-- name: remove_transitions
-- Indexes: transactions_app, primary key.
DELETE FROM transitions WHERE transaction_id IN (SELECT id FROM transactions WHERE app_id = ?1);
