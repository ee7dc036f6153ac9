-- name: expunge_attempt
-- Index: primary key.
UPDATE attempts SET response = 'EXPUNGED'::bytea, answer_head = '' WHERE id = ?2 AND app_id = ?1 RETURNING id;

-- name: expired_bodies
-- Bodies past their time that nobody is sending: first as many as there can be of both, then those
-- of them; else all that are past their time would be read and sorted.
-- Indexes: primary key of bodies, bodies_expiry, deliveries_leased.
SELECT app_id, message_id, variant FROM (
    (SELECT app_id, message_id, variant FROM bodies
     WHERE message_id < ?1 AND expires_at IS NULL
     ORDER BY message_id, variant LIMIT ?3 + (
        SELECT count(*) FROM deliveries WHERE state = 'sending' AND due_at > ?2))
    UNION ALL
    (SELECT app_id, message_id, variant FROM bodies WHERE expires_at <= ?2
     ORDER BY expires_at LIMIT ?3 + (
        SELECT count(*) FROM deliveries WHERE state = 'sending' AND due_at > ?2))) stale
WHERE (
    SELECT bool_or(d.variant = stale.variant AND d.state = 'sending' AND d.due_at > ?2)
    FROM deliveries d
    WHERE d.app_id = stale.app_id AND d.id > 'dlv_' || substr(stale.message_id, 5)
      AND d.id < 'dlv_' || substr(stale.message_id, 5) || '~'
      AND (d.id, d.app_id) > ('dlv_' || substr(stale.message_id, 5), '')) IS NOT TRUE
ORDER BY message_id, variant LIMIT ?3;

-- name: messages_without_body
-- Open deliveries that lose their body. Index: primary key of deliveries.
SELECT {delivery}, m.event_type
FROM deliveries d {message_of_delivery}
WHERE d.app_id = ?1 AND d.id > 'dlv_' || substr(?2, 5) AND d.id < 'dlv_' || substr(?2, 5) || '~'
  AND (d.id, d.app_id) > ('dlv_' || substr(?2, 5), '')
  AND d.variant = ?3 AND d.state IN ('waiting', 'sending')
FOR UPDATE OF d;

-- name: delete_attempts
-- Of old messages, where the delivery has ended. As an array: of a list that is joined nobody knows
-- how short it is. Index: primary keys.
DELETE FROM attempts WHERE id < ?1 AND id = ANY (ARRAY (
    SELECT a.id FROM attempts a
    JOIN deliveries d ON d.app_id = a.app_id AND d.id = {attempt_delivery}
    WHERE a.id < ?1 AND d.state NOT IN ('waiting', 'sending')
    ORDER BY a.id LIMIT ?2));

-- name: expired_messages
-- Old messages without deliveries, application by application. `NOT (SELECT EXISTS …)` is asked
-- message by message until there are enough; a join would first read all. Index: primary keys.
WITH RECURSIVE apps (app_id) AS (
    SELECT min(app_id) FROM messages
    UNION ALL
    SELECT (SELECT min(app_id) FROM messages WHERE app_id > apps.app_id)
    FROM apps WHERE apps.app_id IS NOT NULL)
SELECT m.app_id, m.id FROM apps JOIN messages m ON m.app_id = apps.app_id AND m.id < ?1
WHERE NOT (SELECT EXISTS (
    SELECT 1 FROM deliveries d
    WHERE d.app_id = m.app_id
      AND d.id > 'dlv_' || substr(m.id, 5) AND d.id < 'dlv_' || substr(m.id, 5) || '~'
      AND (d.id, d.app_id) > ('dlv_' || substr(m.id, 5), '')))
LIMIT ?2;

-- name: delete_message
-- With its event id. Index: event_ids_message, primary key.
WITH freed AS (DELETE FROM event_ids WHERE app_id = ?1 AND message_id = ?2)
DELETE FROM messages WHERE app_id = ?1 AND id = ?2;

-- name: delete_deliveries
-- Of old messages, where they have ended. Index: primary key.
DELETE FROM deliveries WHERE id < ?1 AND id = ANY (ARRAY (
    SELECT id FROM deliveries WHERE id < ?1 AND state NOT IN ('waiting', 'sending')
    ORDER BY id LIMIT ?2))
RETURNING id, app_id, endpoint_id, state;

-- name: delete_bodies
-- Index: primary key.
DELETE FROM bodies WHERE app_id = ?1 AND message_id = ?2;

-- name: delete_body
-- Index: primary key.
DELETE FROM bodies WHERE app_id = ?1 AND message_id = ?2 AND variant = ?3;
