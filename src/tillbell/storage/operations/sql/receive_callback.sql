-- name: clear_callback_retry
-- A newer copy takes its place: it is not retried. Index: primary key.
UPDATE callbacks SET retry_at = NULL WHERE id = ?2 AND {no_index}app_id = ?1 AND retry_at IS NOT NULL;

-- name: delete_callback_waits
-- Index: callback_waits_callback.
DELETE FROM callback_waits WHERE callback_id = ?2 AND {no_index}app_id = ?1;

-- name: reopen_callback
-- As it was when it was received. Index: primary key.
UPDATE callbacks
SET outcome = NULL, why = '', duplicate_of = NULL, transaction_id = NULL, message_ids = NULL,
    processed_at = NULL, retry_at = NULL
WHERE id = ?2 AND {no_index}app_id = ?1 AND outcome IS NOT NULL
RETURNING source_id, dedupe_key;

-- name: open_dedupe_key
-- Whether the next copy may take over the key from its holder. Index: primary key.
UPDATE callback_keys SET is_open = ?5
WHERE {no_index}app_id = ?1 AND source_id = ?2 AND dedupe_key = ?3 AND callback_id = ?4;
