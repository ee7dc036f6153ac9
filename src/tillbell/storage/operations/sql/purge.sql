-- name: message_exists
SELECT EXISTS (SELECT 1 FROM messages WHERE app_id = ?1 AND id = ?2);

-- name: delete_idempotency
-- Index: idempotency_age.
DELETE FROM idempotency WHERE key IN (
    SELECT key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2);

-- name: delete_tombstones
-- Marks of deleted records. Index: records_id.
DELETE FROM records WHERE kind = 'Tombstone' AND id IN (
    SELECT id FROM records WHERE kind = 'Tombstone' AND id < ?1 ORDER BY id LIMIT ?2)
RETURNING id;
