-- name: expunge_attempt
-- Index: primary key.
UPDATE attempts SET response = CAST('EXPUNGED' AS BLOB), answer_head = x'' WHERE id = ?2 AND app_id = ?1 RETURNING id;

-- name: expired_bodies
-- Bodies past their time that nobody is sending; whose they are, they do not say.
-- Indexes: bodies_message, bodies_expiry.
SELECT NULL, * FROM (
    SELECT message_id, variant FROM bodies
    WHERE message_id < ?1 AND expires_at IS NULL
    UNION ALL
    SELECT message_id, variant FROM bodies WHERE expires_at <= ?2) stale
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries d
    WHERE d.id > 'dlv_' || substr(stale.message_id, 5)
      AND d.id < 'dlv_' || substr(stale.message_id, 5) || '~'
      AND d.variant = stale.variant AND d.state = 'sending' AND d.due_at > ?2)
LIMIT ?3;

-- name: messages_without_body
-- Open deliveries that lose their body. Index: primary key of deliveries.
SELECT {delivery}, m.event_type
FROM deliveries d JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.id > 'dlv_' || substr(?2, 5) AND d.id < 'dlv_' || substr(?2, 5) || '~'
  AND d.variant = ?3 AND d.state IN ('waiting', 'sending');

-- name: delete_attempts
-- Of old messages, where the delivery has ended. Index: primary keys.
DELETE FROM attempts WHERE id IN (
    SELECT a.id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
    WHERE a.id < ?1 AND d.state NOT IN ('waiting', 'sending')
    ORDER BY a.id LIMIT ?2);

-- name: expired_messages
-- Old messages without deliveries, application by application. Index: primary keys.
WITH RECURSIVE apps (app_id) AS (
    SELECT min(app_id) FROM messages
    UNION ALL
    SELECT (SELECT min(app_id) FROM messages WHERE app_id > apps.app_id)
    FROM apps WHERE apps.app_id IS NOT NULL)
SELECT m.app_id, m.id FROM apps CROSS JOIN messages m ON m.app_id = apps.app_id AND m.id < ?1
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries d
    WHERE d.id > 'dlv_' || substr(m.id, 5) AND d.id < 'dlv_' || substr(m.id, 5) || '~')
LIMIT ?2;

-- name: delete_message
DELETE FROM messages WHERE app_id = ?1 AND id = ?2;

-- name: delete_deliveries
-- Of old messages, where they have ended. Index: primary key.
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries WHERE id < ?1 AND state NOT IN ('waiting', 'sending')
    ORDER BY id LIMIT ?2)
RETURNING id, app_id, endpoint_id, state;

-- name: delete_bodies
-- Index: bodies_message.
DELETE FROM bodies WHERE message_id = ?2;

-- name: delete_body
-- Index: bodies_message.
DELETE FROM bodies WHERE message_id = ?2 AND variant = ?3;
