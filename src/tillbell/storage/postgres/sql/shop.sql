-- name: put_shop_record
INSERT INTO shop_records
    (kind, app_id, id, uid, updated_at, number, status, payment_status, customer_id, email, order_id,
     doc)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::text[], ?7::text[],
    ?8::text[], ?9::text[], ?10::text[], ?11::text[], ?12::bytea[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12)
ON CONFLICT (kind, app_id, id) DO UPDATE SET
    uid = excluded.uid, updated_at = excluded.updated_at, number = excluded.number,
    status = excluded.status, payment_status = excluded.payment_status,
    customer_id = excluded.customer_id, email = excluded.email, order_id = excluded.order_id,
    doc = excluded.doc;

-- name: present_shop_record
-- What a record's change rests on; its removal waits for this commit. Index: primary key.
SELECT doc FROM shop_records WHERE kind = ?1 AND app_id = ?2 AND id = ?3 FOR UPDATE;

-- name: present_shop_records
-- The same for many; `ids` is a JSON list. Index: primary key.
SELECT s.id, s.doc FROM json_each(:ids) w
CROSS JOIN LATERAL (
    SELECT id, doc FROM shop_records
    WHERE kind = :kind AND app_id = :scope AND id = w.value OFFSET 0 FOR UPDATE) s;

-- name: shop_record_ids_of_uids
-- Who has these uids; `uids` is a JSON list. Index: shop_records_uid.
SELECT s.uid, s.id FROM json_each(:uids) w
CROSS JOIN LATERAL (
    SELECT uid, id FROM shop_records
    WHERE kind = :kind AND app_id = :scope AND uid = w.value OFFSET 0) s;

-- name: payments_of_orders
-- What names orders, in a commit that makes them; a payment may be there twice. Indexes:
-- transactions_order, transactions_merchant.
SELECT wanted.app_id, wanted.uid, t.id, t.version
FROM unnest(?1::text[], ?2::text[]) AS wanted (app_id, uid)
CROSS JOIN LATERAL (
    SELECT id, version FROM transactions
    WHERE app_id = wanted.app_id AND order_id = wanted.uid
    UNION ALL SELECT id, version FROM transactions
    WHERE app_id = wanted.app_id AND merchant_reference = wanted.uid OFFSET 0) t;

-- name: shop_record
-- By id or uid, an id first. Indexes: primary key, shop_records_uid.
SELECT s.doc FROM (
    SELECT ?3::text AS id
    UNION SELECT id FROM shop_records WHERE kind = ?1 AND app_id = ?2 AND uid = ?3::text) found
CROSS JOIN LATERAL (
    SELECT id, doc FROM shop_records
    WHERE kind = ?1 AND app_id = ?2 AND shop_records.id = found.id OFFSET 0) s
ORDER BY s.id = ?3::text DESC LIMIT 1;

-- name: shop_records_named
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Those that a text names: few. Indexes: primary key, shop_records_uid, shop_records_number,
-- shop_records_email, shop_records_customer, shop_records_order.
SELECT s.doc FROM (
    SELECT :text::text AS id
    UNION SELECT id FROM shop_records
    WHERE kind = :kind AND app_id = :scope AND uid = :text::text
    UNION SELECT id FROM shop_records
    WHERE app_id = :scope AND kind = :kind AND number = :text::text
    UNION SELECT id FROM shop_records
    WHERE app_id = :scope AND kind = :kind AND email = :small_text::text
    UNION SELECT id FROM shop_records
    WHERE app_id = :scope AND kind = :kind AND customer_id = :text::text
    UNION SELECT id FROM shop_records
    WHERE app_id = :scope AND kind = :kind AND order_id = :text::text) named
CROSS JOIN LATERAL (
    SELECT id, updated_at, doc FROM shop_records
    WHERE kind = :kind AND app_id = :scope AND shop_records.id = named.id OFFSET 0) s
WHERE (s.updated_at, s.id) > (:low_at, :low_id) AND (s.updated_at, s.id) < (:high_at, :high_id)
ORDER BY s.updated_at {order}, s.id {order} LIMIT :limit;

-- name: paid_orders
-- Which of these names a transaction has. Indexes: transactions_order, transactions_merchant.
SELECT w.value FROM json_each(:names) w
CROSS JOIN LATERAL (
    SELECT id FROM transactions WHERE app_id = :scope AND order_id = w.value OFFSET 0) t
UNION SELECT w.value FROM json_each(:names) w
CROSS JOIN LATERAL (
    SELECT id FROM transactions WHERE app_id = :scope AND merchant_reference = w.value OFFSET 0) t;

-- name: shop_records_with
-- form {by} uid: uid = w.value
-- form {by} number: number = w.value
-- Indexes: shop_records_uid, shop_records_number.
SELECT s.doc FROM json_each(:names) w
CROSS JOIN LATERAL (
    SELECT doc FROM shop_records WHERE kind = :kind AND app_id = :scope AND {by} OFFSET 0) s;

-- name: order_sums
-- form {by} customer: customer_id = w.value ->> 0
-- form {by} email: email = w.value ->> 1 AND customer_id IS NULL
-- `buyers` is JSON: [[uid, e-mail address], …]. Indexes: shop_records_customer, shop_records_email.
-- A text is taken out of the JSON alone: others may have characters that PostgreSQL has not.
SELECT w.value ->> 0, o.currency, count(*), min(o.created_at), max(o.created_at),
    sum(CASE WHEN o.paid ~ '^-?[0-9]+([.][0-9]+)?$' THEN o.paid::numeric ELSE 0 END)::text
FROM jsonb_array_elements(:buyers::jsonb) w
CROSS JOIN LATERAL (
    SELECT data -> 'currency' #>> '{}' AS currency, data -> 'createdAt' #>> '{}' AS created_at,
        coalesce(data -> 'paidAmount' #>> '{}', CASE WHEN payment_status IN (
            'paid', 'overpaid', 'partially_refunded', 'refunded', 'disputed')
            THEN data -> 'amount' #>> '{}' END) AS paid
    FROM (SELECT payment_status, convert_from(doc, 'UTF8')::json -> 'data' AS data
          FROM shop_records WHERE app_id = :scope AND kind = 'Order' AND {by} OFFSET 0) s) o
GROUP BY 1, 2;
