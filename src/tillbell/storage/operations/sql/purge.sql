-- name: message_exists
SELECT EXISTS (SELECT 1 FROM messages WHERE app_id = ?1 AND id = ?2);

-- name: delete_idempotency
-- Index: idempotency_age.
DELETE FROM idempotency WHERE key IN (
    SELECT key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2);
