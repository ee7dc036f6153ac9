-- name: insert_message
INSERT INTO messages
    (id, app_id, event_type, created_at, event_id, channels, tags, deliver_at, order_key, expires_at,
     content_type)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);

-- name: insert_body
-- Whose it is (?1) a body does not say: it is found by its message only.
INSERT INTO bodies (message_id, variant, body, expires_at) VALUES (?2, ?3, ?4, ?5);

-- name: insert_delivery
-- Bound to a Delivery as it is; ?4, its message, is part of its id.
INSERT INTO deliveries
    (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts, tries, token, trigger,
     started_at, order_key)
VALUES (?1, ?2, ?3, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);

-- name: add_body
-- A body rendered later. Where the payload is gone it stays gone. Index: bodies_message.
INSERT INTO bodies (message_id, variant, body, expires_at)
SELECT ?2, ?3, ?4, payload.expires_at FROM bodies payload
WHERE payload.message_id = ?2 AND payload.variant = ''
ON CONFLICT (message_id, variant) DO NOTHING;

-- name: find_event_ids
-- Which events were published, and as which messages. Index: messages_event_id.
SELECT m.app_id, m.event_id, m.id FROM (VALUES (?1, ?2)) AS wanted
CROSS JOIN messages m ON m.app_id = wanted.column1 AND m.event_id = wanted.column2;

-- name: find_idempotency_keys
-- Index: primary key.
SELECT key, fingerprint, answer FROM idempotency WHERE key IN (VALUES (?1));

-- name: insert_idempotency
INSERT INTO idempotency (key, fingerprint, answer, created_at) VALUES (?1, ?2, ?3, ?4);
