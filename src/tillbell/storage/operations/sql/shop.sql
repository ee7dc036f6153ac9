-- The shop's records: orders, products, customers, subscriptions, shipments (model/shop.py).

-- name: shop_record_id_of_uid
-- Another record with that uid. Index: shop_records_uid.
SELECT id FROM shop_records WHERE kind = ?1 AND app_id = ?2 AND uid = ?3 AND id <> ?4;

-- name: shop_record_of_any_scope
-- Index: shop_records_id.
SELECT doc FROM shop_records WHERE kind = ?1 AND id = ?2;

-- name: shop_records_in_scope
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT doc FROM shop_records
WHERE kind = :kind AND app_id = :scope AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: shop_records_of_kind
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: shop_records_id.
SELECT doc FROM shop_records
WHERE kind = :kind AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: delete_shop_record
DELETE FROM shop_records WHERE kind = ?1 AND app_id = ?2 AND id = ?3;

-- name: remove_shop_records
-- Index: shop_records_scope.
DELETE FROM shop_records WHERE app_id = ?1;

-- name: last_shop_change
-- Index: shop_records_scope.
SELECT updated_at FROM shop_records WHERE app_id = ?1 AND kind = ?2
ORDER BY updated_at DESC LIMIT 1;

-- name: shop_records_changed
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} any: s.kind = :kind
-- form {by} status: s.kind = :kind AND s.status = :status
-- form {by} payment_status: s.kind = :kind AND s.payment_status = :payment_status
-- form {by} order_id: s.kind = :kind AND s.order_id = :order_id
-- Indexes: shop_records_scope, shop_records_status, shop_records_payment, shop_records_order.
SELECT doc FROM shop_records s
WHERE s.app_id = :scope AND {by}
  AND (s.updated_at, s.id) > (:low_at, :low_id) AND (s.updated_at, s.id) < (:high_at, :high_id)
ORDER BY s.updated_at {order}, s.id {order} LIMIT :limit;
