-- name: transaction_states
-- Preconditions of transactions; `pairs` is JSON: [[application, id], …]. Index: primary key.
SELECT t.id, t.version, t.sequence, t.status
FROM {pairs} wanted
{ordered_join} transactions t ON {no_index}t.app_id = wanted.app_id AND t.id = wanted.id;

-- name: callback_states
-- Preconditions of conclusions; `pairs` is JSON: [[application, id], …]. Index: primary key.
SELECT c.id, c.source_id, c.dedupe_key, c.outcome, c.retry_at
FROM {pairs} wanted
{ordered_join} callbacks c ON {no_index}c.app_id = wanted.app_id AND c.id = wanted.id;

-- name: orders_of_uids
-- The ids of orders that should not be there, null where there is none; `pairs` is JSON:
-- [[application, uid], …]. Index: shop_records_uid.
SELECT wanted.app_id, wanted.id, (
    SELECT s.id FROM shop_records s
    WHERE s.kind = 'Order' AND s.app_id = wanted.app_id AND s.uid = wanted.id)
FROM {pairs} wanted;

-- name: transaction_id_of_uid
-- Index: transactions_uid.
SELECT id FROM transactions WHERE app_id = ?1 AND uid = ?2;

-- name: same_linked_transaction
-- The same linked transaction, told by another callback. Index: transactions_linked.
SELECT id FROM transactions
WHERE {no_index}app_id = ?1 AND parent_id = ?2 AND kind = ?3 AND psp_transaction_id = ?4
  AND coalesce(source_id, '') = coalesce(?5, '')
  AND coalesce(movement_id, '') = coalesce(?6, '');

-- name: open_conflict
-- Index: primary key.
SELECT 1 FROM conflicts WHERE id = ?2 AND {no_index}app_id = ?1 AND resolved_at IS NULL;

-- name: insert_callback_wait
INSERT INTO callback_waits (app_id, reference, callback_id) VALUES (?1, ?2, ?3);

-- name: resolve_conflict
-- Index: primary key.
UPDATE conflicts
SET resolved_at = ?3, resolution = ?4, resolved_by = ?5, resolution_reason = ?6
WHERE id = ?2 AND {no_index}app_id = ?1;
