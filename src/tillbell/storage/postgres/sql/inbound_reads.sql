-- name: transitions
-- Index: primary key.
SELECT {transition} FROM transitions s
WHERE s.app_id = ?1 AND s.transaction_id = ?2 ORDER BY s.sequence;

-- name: effects
-- At most one of each kind. Index: primary key.
SELECT {effect} FROM effects e
WHERE e.app_id = ?1 AND e.transaction_id = ?2 ORDER BY e.sequence, e.kind;

-- name: callback_request
-- Index: primary key.
SELECT request FROM callback_requests WHERE app_id = ?1 AND callback_id = ?2;

-- Of what follows each step is fenced (OFFSET 0): else a plan that was made while a table was small
-- reads all that an application has, and is kept.

-- name: repeats
-- `callbacks` is a JSON array of ids. Index: callbacks_repeats.
SELECT r.id, r.count, r.last_at
FROM json_each(:callbacks) w
CROSS JOIN LATERAL (
    SELECT c.duplicate_of AS id, count(*) AS count, max(c.received_at) AS last_at FROM callbacks c
    WHERE c.app_id = :app_id AND c.duplicate_of = w.value GROUP BY c.duplicate_of OFFSET 0) r;

-- name: callbacks_awaiting
-- Index: primary keys.
SELECT {callback} FROM (
    SELECT DISTINCT w.callback_id FROM json_each(:references) reference
    CROSS JOIN LATERAL (
        SELECT callback_id FROM callback_waits
        WHERE app_id = :app_id AND reference = reference.value OFFSET 0) w) waits
CROSS JOIN LATERAL (
    SELECT * FROM callbacks WHERE app_id = :app_id AND id = waits.callback_id OFFSET 0) c
ORDER BY c.id;

-- name: known_item_keys
-- Index: primary key.
SELECT i.item_key FROM json_each(:item_keys) wanted
CROSS JOIN LATERAL (
    SELECT item_key FROM seen_items
    WHERE app_id = :app_id AND source_id = :source_id AND item_key = wanted.value OFFSET 0) i;

-- name: candidate_transactions
-- Indexes: primary key, transactions_uid, transactions_order, transactions_merchant,
-- transactions_psp.
SELECT {transaction} FROM (
    SELECT value AS id FROM json_each(:ours)
    UNION SELECT x.id FROM json_each(:ours) our CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = :app_id AND uid = our.value OFFSET 0) x
    UNION SELECT x.id FROM json_each(:ours) our CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = :app_id AND order_id = our.value OFFSET 0) x
    UNION SELECT x.id FROM json_each(:ours) our CROSS JOIN LATERAL (
        SELECT id FROM transactions
        WHERE app_id = :app_id AND merchant_reference = our.value OFFSET 0) x
    UNION SELECT x.id FROM json_each(:psp) their CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = :app_id AND psp_transaction_id = their.value
          AND (source_id = :source_id OR source_id IS NULL) OFFSET 0) x
    UNION SELECT x.id FROM json_each(:psp) their CROSS JOIN LATERAL (
        SELECT transaction_id AS id FROM payment_attempts
        WHERE app_id = :app_id AND psp_transaction_id = their.value
          AND source_id = :source_id OFFSET 0) x) found
CROSS JOIN LATERAL (
    SELECT * FROM transactions WHERE app_id = :app_id AND transactions.id = found.id OFFSET 0) t
ORDER BY t.id DESC LIMIT :limit;

-- name: find_candidates
-- The same for many callbacks at once. Bound to arrays: the callback's number, its application and
-- source, a reference, and 1 if it is ours (0: the provider's). Indexes: as above.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[])
        AS wanted (number, app_id, source_id, value, is_ours))
SELECT named.number, {transaction} FROM (
    SELECT number, app_id, value AS id FROM wanted WHERE is_ours = 1
    UNION SELECT w.number, w.app_id, x.id FROM wanted w CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = w.app_id AND uid = w.value OFFSET 0) x
    WHERE w.is_ours = 1
    UNION SELECT w.number, w.app_id, x.id FROM wanted w CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = w.app_id AND order_id = w.value OFFSET 0) x
    WHERE w.is_ours = 1
    UNION SELECT w.number, w.app_id, x.id FROM wanted w CROSS JOIN LATERAL (
        SELECT id FROM transactions
        WHERE app_id = w.app_id AND merchant_reference = w.value OFFSET 0) x
    WHERE w.is_ours = 1
    UNION SELECT w.number, w.app_id, x.id FROM wanted w CROSS JOIN LATERAL (
        SELECT id FROM transactions WHERE app_id = w.app_id AND psp_transaction_id = w.value
          AND (source_id = w.source_id OR source_id IS NULL) OFFSET 0) x
    WHERE w.is_ours = 0
    UNION SELECT w.number, w.app_id, x.id FROM wanted w CROSS JOIN LATERAL (
        SELECT transaction_id AS id FROM payment_attempts
        WHERE app_id = w.app_id AND psp_transaction_id = w.value
          AND source_id = w.source_id OFFSET 0) x
    WHERE w.is_ours = 0) named
CROSS JOIN LATERAL (
    SELECT * FROM transactions
    WHERE app_id = named.app_id AND transactions.id = named.id OFFSET 0) t
LIMIT 1000;

-- name: transactions_of_reference
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Indexes: primary key, transactions_uid, transactions_order, transactions_merchant,
-- transactions_psp.
SELECT {transaction} FROM (
    SELECT id FROM (
        SELECT id FROM transactions WHERE app_id = :app_id AND uid = :reference OFFSET 0) by_uid
    UNION SELECT id FROM (
        SELECT id FROM transactions
        WHERE app_id = :app_id AND order_id = :reference OFFSET 0) by_order
    UNION SELECT id FROM (
        SELECT id FROM transactions
        WHERE app_id = :app_id AND merchant_reference = :reference OFFSET 0) by_merchant
    UNION SELECT id FROM (
        SELECT id FROM transactions
        WHERE app_id = :app_id AND psp_transaction_id = :reference OFFSET 0) by_psp) found
CROSS JOIN LATERAL (
    SELECT * FROM transactions WHERE app_id = :app_id AND transactions.id = found.id OFFSET 0) t
WHERE t.id > :low AND t.id < :high AND {transaction_filter}
ORDER BY t.id {order} LIMIT :limit;

-- name: transaction
-- By id or uid, an id first. Indexes: primary key, transactions_uid.
SELECT {transaction} FROM (
    SELECT :key::text AS id
    UNION SELECT id FROM transactions WHERE app_id = :app_id AND uid = :key::text) found
CROSS JOIN LATERAL (
    SELECT * FROM transactions WHERE app_id = :app_id AND transactions.id = found.id OFFSET 0) t
ORDER BY t.id = :key::text DESC LIMIT 1;

-- name: sealed_requests
-- Index: primary key.
SELECT app_id, callback_id, request FROM callback_requests
WHERE callback_id > ?1 ORDER BY callback_id LIMIT ?2;
