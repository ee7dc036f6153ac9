-- name: erase_transition
-- Index: primary key. Whose it is (?1), its transaction knows.
UPDATE transitions SET reason = ?4, raw_status = ?5, message = ?6, details = ?7
WHERE transaction_id = ?2 AND sequence = ?3
  AND EXISTS (SELECT 1 FROM transactions WHERE id = ?2 AND +app_id = ?1);

-- name: erase_message
-- Index: primary key.
UPDATE messages SET event_id = ?3, channels = ?4, tags = ?5, order_key = ?6
WHERE app_id = ?1 AND id = ?2;

-- name: erase_order_key
-- Index: primary key.
UPDATE deliveries SET order_key = ?3
WHERE id > 'dlv_' || substr(?2, 5) AND id < 'dlv_' || substr(?2, 5) || '~' AND +app_id = ?1;
