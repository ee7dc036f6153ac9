-- name: insert_message
-- With their event ids, each of which there is once.
WITH added AS (
    INSERT INTO messages
        (id, app_id, event_type, created_at, event_id, channels, tags, deliver_at, order_key,
         expires_at, content_type)
    SELECT * FROM unnest(
        ?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::text[], ?6::text[], ?7::text[],
        ?8::bigint[], ?9::text[], ?10::bigint[], ?11::text[])
    RETURNING app_id, event_id, id)
INSERT INTO event_ids (app_id, event_id, message_id)
SELECT app_id, event_id, id FROM added WHERE event_id IS NOT NULL;

-- name: find_event_ids
-- Which events were published, and as which messages. Index: primary key.
SELECT e.app_id, e.event_id, e.message_id
FROM unnest(?1::text[], ?2::text[]) AS wanted (app_id, event_id)
JOIN event_ids e ON e.app_id = wanted.app_id AND e.event_id = wanted.event_id;

-- name: find_idempotency_keys
-- Index: primary key.
SELECT i.key, i.fingerprint, i.answer
FROM unnest(?1::text[]) AS wanted (key) JOIN idempotency i ON i.key = wanted.key;

-- name: insert_idempotency
INSERT INTO idempotency (key, fingerprint, answer, created_at)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::bytea[], ?4::bigint[]);

-- name: insert_body
INSERT INTO bodies (app_id, message_id, variant, body, expires_at)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::bytea[], ?5::bigint[]);

-- name: insert_delivery
-- Bound to a Delivery as it is; ?4, its message, is part of its id.
INSERT INTO deliveries
    (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts, tries, token, trigger,
     started_at, order_key)
SELECT c1, c2, c3, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::text[], ?7::bigint[],
    ?8::bigint[], ?9::bigint[], ?10::bigint[], ?11::bigint[], ?12::text[], ?13::bigint[],
    ?14::text[]) AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14);

-- name: add_body
-- A body rendered later. Where the payload is gone it stays gone. Index: primary key of bodies.
INSERT INTO bodies (app_id, message_id, variant, body, expires_at)
SELECT ?1::text, ?2::text, ?3::text, ?4::bytea, payload.expires_at FROM bodies payload
WHERE payload.app_id = ?1 AND payload.message_id = ?2 AND payload.variant = ''
ON CONFLICT (message_id, variant, app_id) DO NOTHING;
