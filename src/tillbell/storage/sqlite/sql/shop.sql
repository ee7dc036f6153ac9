-- name: put_shop_record
INSERT INTO shop_records
    (kind, app_id, id, uid, updated_at, number, status, payment_status, customer_id, email, order_id,
     doc)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (kind, app_id, id) DO UPDATE SET
    uid = excluded.uid, updated_at = excluded.updated_at, number = excluded.number,
    status = excluded.status, payment_status = excluded.payment_status,
    customer_id = excluded.customer_id, email = excluded.email, order_id = excluded.order_id,
    doc = excluded.doc;

-- name: present_shop_record
-- What a record's change rests on. Index: primary key.
SELECT doc FROM shop_records WHERE kind = ?1 AND app_id = ?2 AND id = ?3;

-- name: present_shop_records
-- The same for many; `ids` is a JSON list. Index: primary key.
SELECT s.id, s.doc FROM json_each(:ids) w
{ordered_join} shop_records s ON s.kind = :kind AND s.app_id = :scope AND s.id = w.value;

-- name: shop_record_ids_of_uids
-- Who has these uids; `uids` is a JSON list. Index: shop_records_uid.
SELECT s.uid, s.id FROM json_each(:uids) w
{ordered_join} shop_records s ON s.kind = :kind AND s.app_id = :scope AND s.uid = w.value;

-- name: payments_of_orders
-- What names orders, in a commit that makes them; a payment may be there twice. Indexes:
-- transactions_order, transactions_merchant.
SELECT t.app_id, wanted.column2, t.id, t.version FROM (VALUES (?1, ?2)) AS wanted
CROSS JOIN transactions t ON t.app_id = wanted.column1
    AND (t.order_id = wanted.column2 OR t.merchant_reference = wanted.column2);

-- name: shop_record
-- By id or uid, an id first. Indexes: primary key, shop_records_uid.
SELECT doc FROM shop_records
WHERE kind = ?1 AND app_id = ?2 AND (id = ?3 OR uid = ?3)
ORDER BY id = ?3 DESC LIMIT 1;

-- name: shop_records_named
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Those that a text names: few. Indexes: primary key, shop_records_uid, shop_records_number,
-- shop_records_email, shop_records_customer, shop_records_order.
-- The plus signs and ALL keep SQLite from walking along all records in their order.
SELECT doc FROM shop_records s
WHERE s.kind = :kind AND s.app_id = :scope AND s.id IN (
    SELECT :text
    UNION ALL SELECT id FROM shop_records WHERE kind = :kind AND app_id = :scope AND uid = :text
    UNION ALL SELECT id FROM shop_records WHERE app_id = :scope AND kind = :kind AND number = :text
    UNION ALL SELECT id FROM shop_records WHERE app_id = :scope AND kind = :kind AND email = :small_text
    UNION ALL SELECT id FROM shop_records WHERE app_id = :scope AND kind = :kind AND customer_id = :text
    UNION ALL SELECT id FROM shop_records WHERE app_id = :scope AND kind = :kind AND order_id = :text)
  AND (+s.updated_at, s.id) > (:low_at, :low_id) AND (+s.updated_at, s.id) < (:high_at, :high_id)
ORDER BY +s.updated_at {order}, s.id {order} LIMIT :limit;

-- name: paid_orders
-- Which of these names a transaction has. Indexes: transactions_order, transactions_merchant.
SELECT w.value FROM json_each(:names) w
{ordered_join} transactions t ON t.app_id = :scope AND t.order_id = w.value
UNION SELECT w.value FROM json_each(:names) w
{ordered_join} transactions t ON t.app_id = :scope AND t.merchant_reference = w.value;

-- name: shop_records_with
-- form {by} uid: s.uid = w.value
-- form {by} number: s.number = w.value
-- Indexes: shop_records_uid, shop_records_number.
SELECT s.doc FROM json_each(:names) w
{ordered_join} shop_records s ON s.kind = :kind AND s.app_id = :scope AND {by};

-- name: order_sums
-- form {by} customer: s.customer_id = w.value ->> 0
-- form {by} email: s.email = w.value ->> 1 AND s.customer_id IS NULL
-- `buyers` is JSON: [[uid, e-mail address], …]. Indexes: shop_records_customer, shop_records_email.
SELECT w.value ->> 0, s.doc ->> '$.data.currency', count(*), min(s.doc ->> '$.data.createdAt'),
    max(s.doc ->> '$.data.createdAt'),
    printf('%.9f', sum(CAST(coalesce(s.doc ->> '$.data.paidAmount', CASE WHEN s.payment_status IN (
        'paid', 'overpaid', 'partially_refunded', 'refunded', 'disputed')
        THEN s.doc ->> '$.data.amount' END, '0') AS REAL)))
FROM json_each(:buyers) w
{ordered_join} shop_records s ON s.app_id = :scope AND s.kind = 'Order' AND {by}
GROUP BY 1, 2;
