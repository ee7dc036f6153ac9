-- name: erase_transition
-- Index: primary key.
UPDATE transitions SET reason = ?4, raw_status = ?5, message = ?6, details = ?7
WHERE app_id = ?1 AND transaction_id = ?2 AND sequence = ?3;

-- name: erase_message
-- With its event id. Index: event_ids_message, primary key.
WITH freed AS (
    DELETE FROM event_ids WHERE app_id = ?1 AND message_id = ?2 AND ?3::text IS NULL)
UPDATE messages SET event_id = ?3, channels = ?4, tags = ?5, order_key = ?6
WHERE app_id = ?1 AND id = ?2;

-- name: erase_order_key
-- Index: primary key.
UPDATE deliveries SET order_key = ?3
WHERE app_id = ?1 AND id > 'dlv_' || substr(?2::text, 5) AND id < 'dlv_' || substr(?2::text, 5) || '~'
  AND (id, app_id) > ('dlv_' || substr(?2::text, 5), '');
