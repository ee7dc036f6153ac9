-- name: transitions
-- Index: primary key.
SELECT {transition}
FROM transactions t CROSS JOIN transitions s ON s.transaction_id = t.id
WHERE t.id = ?2 AND {no_index}t.app_id = ?1 ORDER BY s.sequence;

-- name: effects
-- At most one of each kind. Index: primary key.
SELECT {effect}
FROM transactions t CROSS JOIN effects e ON e.transaction_id = t.id
WHERE t.id = ?2 AND {no_index}t.app_id = ?1 ORDER BY e.sequence, e.kind;

-- name: callback_request
-- Index: callback_requests_callback.
SELECT r.request FROM callback_requests r CROSS JOIN callbacks c ON c.id = r.callback_id
WHERE r.callback_id = ?2 AND c.app_id = ?1;

-- name: repeats
-- `callbacks` is a JSON array of ids. Index: callbacks_repeats.
SELECT c.duplicate_of, count(*), max(c.received_at)
FROM json_each(:callbacks) w
CROSS JOIN callbacks c INDEXED BY callbacks_repeats
    ON c.app_id = :app_id AND c.duplicate_of = w.value
GROUP BY c.duplicate_of;

-- name: callbacks_awaiting
-- Index: primary keys.
SELECT {callback} FROM callbacks c
WHERE c.id IN (
    SELECT w.callback_id FROM json_each(:references) reference
    {ordered_join} callback_waits w ON w.app_id = :app_id AND w.reference = reference.value)
  AND {no_index}c.app_id = :app_id
ORDER BY c.id;

-- name: known_item_keys
-- Index: primary key.
SELECT i.item_key FROM json_each(:item_keys) wanted
{ordered_join} seen_items i
    ON i.app_id = :app_id AND i.source_id = :source_id AND i.item_key = wanted.value;

-- name: candidate_transactions
-- Indexes: primary key, transactions_uid, transactions_order, transactions_merchant,
-- transactions_psp, payment_attempts.
SELECT {transaction} FROM transactions t
WHERE t.id IN (
    SELECT value FROM json_each(:ours)
    UNION ALL SELECT x.id FROM json_each(:ours) our
    {ordered_join} transactions x ON x.app_id = :app_id AND x.uid = our.value
    UNION ALL SELECT x.id FROM json_each(:ours) our
    {ordered_join} transactions x ON x.app_id = :app_id AND x.order_id = our.value
    UNION ALL SELECT x.id FROM json_each(:ours) our
    {ordered_join} transactions x ON x.app_id = :app_id AND x.merchant_reference = our.value
    UNION ALL SELECT x.id FROM json_each(:psp) their
    {ordered_join} transactions x ON x.app_id = :app_id AND x.psp_transaction_id = their.value
    WHERE x.source_id = :source_id OR x.source_id IS NULL
    UNION ALL SELECT x.transaction_id FROM json_each(:psp) their
    {ordered_join} payment_attempts x ON x.app_id = :app_id
        AND x.psp_transaction_id = their.value AND x.source_id = :source_id)
  AND {no_index}t.app_id = :app_id
ORDER BY t.id DESC LIMIT :limit;

-- name: find_candidates
-- The same for many callbacks at once. Bound to the callback's number, its application and source, a
-- reference, and 1 if it is ours (0: the provider's). Indexes: as above.
WITH wanted (number, app_id, source_id, value, is_ours) AS MATERIALIZED (
    VALUES (?1, ?2, ?3, ?4, ?5)),
named (number, app_id, id) AS (
    SELECT number, app_id, value FROM wanted WHERE is_ours
    UNION SELECT wanted.number, wanted.app_id, x.id FROM wanted
    {ordered_join} transactions x ON x.app_id = wanted.app_id AND x.uid = wanted.value WHERE wanted.is_ours
    UNION SELECT wanted.number, wanted.app_id, x.id FROM wanted
    {ordered_join} transactions x ON x.app_id = wanted.app_id AND x.order_id = wanted.value WHERE wanted.is_ours
    UNION SELECT wanted.number, wanted.app_id, x.id FROM wanted
    {ordered_join} transactions x ON x.app_id = wanted.app_id AND x.merchant_reference = wanted.value
    WHERE wanted.is_ours
    UNION SELECT wanted.number, wanted.app_id, x.id FROM wanted
    {ordered_join} transactions x ON x.app_id = wanted.app_id AND x.psp_transaction_id = wanted.value
    WHERE NOT wanted.is_ours AND (x.source_id = wanted.source_id OR x.source_id IS NULL)
    UNION SELECT wanted.number, wanted.app_id, x.transaction_id FROM wanted
    {ordered_join} payment_attempts x ON x.app_id = wanted.app_id
        AND x.psp_transaction_id = wanted.value AND x.source_id = wanted.source_id
    WHERE NOT wanted.is_ours)
SELECT named.number, {transaction} FROM named
{ordered_join} transactions t ON t.id = named.id AND {no_index}t.app_id = named.app_id
LIMIT 1000;

-- name: transactions_of_reference
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Indexes: primary key, transactions_uid, transactions_order, transactions_merchant,
-- transactions_psp.
SELECT {transaction} FROM transactions t
WHERE t.id IN (
    SELECT id FROM transactions WHERE app_id = :app_id AND uid = :reference
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND order_id = :reference
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND merchant_reference = :reference
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND psp_transaction_id = :reference)
  AND {no_index}t.app_id = :app_id AND t.id > :low AND t.id < :high
  AND {transaction_filter}
ORDER BY t.id {order} LIMIT :limit;

-- name: transaction
-- By id or uid, an id first. Indexes: primary key, transactions_uid.
SELECT {transaction} FROM transactions t
WHERE t.app_id = :app_id AND (t.id = :key OR t.uid = :key)
ORDER BY t.id = :key DESC LIMIT 1;

-- name: sealed_requests
-- Index: callback_requests_callback.
SELECT NULL, callback_id, request FROM callback_requests
WHERE callback_id > ?1 ORDER BY callback_id LIMIT ?2;
