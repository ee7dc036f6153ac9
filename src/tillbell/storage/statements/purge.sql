-- name: message_exists
SELECT EXISTS (SELECT 1 FROM messages WHERE app_id = ?1 AND id = ?2);

-- name: delete_bodies
-- Index: bodies_message.
DELETE FROM bodies WHERE message_id = ?1;

-- name: delete_body
-- Index: bodies_message.
DELETE FROM bodies WHERE message_id = ?1 AND variant = ?2;

-- name: delete_deliveries
-- Of old messages, where they have ended. Index: primary key.
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries WHERE id < ?1 AND state NOT IN ('waiting', 'sending')
    ORDER BY id LIMIT ?2)
RETURNING id, app_id, endpoint_id, state;

-- name: delete_idempotency
-- Index: idempotency_age.
DELETE FROM idempotency WHERE key IN (
    SELECT key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2);
