-- name: find_idempotency
-- The use of an idempotency key. Index: primary key.
SELECT fingerprint, answer FROM idempotency WHERE key = ?1;

-- name: answer_idempotency
-- Index: primary key.
UPDATE idempotency SET answer = ?2 WHERE key = ?1;

-- name: may_add_delivery
-- Whether the message is still there and has no such delivery. Index: primary keys.
SELECT EXISTS (SELECT 1 FROM messages WHERE app_id = ?2 AND id = ?3)
   AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND app_id = ?2);

-- name: has_order_keys
-- Whether any delivery has an order key. Index: deliveries_ordered.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE order_key IS NOT NULL);

-- name: order_key_of
-- The order key of a delivery. Index: primary key.
SELECT app_id, endpoint_id, order_key FROM deliveries
WHERE id = ?2 AND app_id = ?1 AND order_key IS NOT NULL;

-- name: hold_back_order_key
-- Hold back all deliveries with an order key; then one may go. Index: deliveries_ordered.
UPDATE deliveries SET held = 1
WHERE endpoint_id = ?2 AND app_id = ?1 AND order_key = ?3 AND state = 'waiting' AND held = 0;

-- name: release_next_of_order_key
-- Let the first one go, unless one is being sent. Index: deliveries_ordered.
UPDATE deliveries SET held = 0
WHERE id = (
        SELECT id FROM deliveries
        WHERE endpoint_id = ?2 AND app_id = ?1 AND order_key = ?3 AND state = 'waiting'
          AND held = 1
        ORDER BY id LIMIT 1)
  AND app_id = ?1
  AND NOT EXISTS (
        SELECT 1 FROM deliveries
        WHERE endpoint_id = ?2 AND app_id = ?1 AND order_key = ?3 AND state = 'sending');
