-- name: present_transactions
-- What steps rest on; `ids` is a JSON list. Index: primary key.
SELECT t.id, t.version, t.sequence, t.status
FROM json_each(:ids) wanted {then} transactions t ON t.id = wanted.value;

-- name: present_callbacks
-- What conclusions rest on; `ids` is a JSON list. Index: primary key.
SELECT c.id, c.app_id, c.source_id, c.dedupe_key, c.outcome, c.retry_at
FROM json_each(:ids) wanted {then} callbacks c ON c.id = wanted.value;

-- name: holder_of_transaction_uid
-- Index: transactions_uid.
SELECT id FROM transactions WHERE app_id = ?1 AND uid = ?2;

-- name: linked_twin
-- The same refund, under another event. Index: transactions_linked.
SELECT id FROM transactions
WHERE parent_id = ?1 AND kind = ?2 AND psp_transaction_id = ?3
  AND coalesce(source_id, '') = coalesce(?4, '');

-- name: refundable
-- What was captured of a payment and not refunded yet. Indexes: transactions_parent, primary keys.
SELECT CAST(parent.amount - coalesce((
    SELECT sum(e.amount) FROM transactions child
    {then} effects e ON e.transaction_id = child.id AND e.kind = 'debit'
    WHERE child.parent_id = ?1 AND child.kind = 'refund'), 0) AS BIGINT)
FROM effects parent WHERE parent.transaction_id = ?1 AND parent.kind = 'credit';

-- name: open_conflict
-- Index: primary key.
SELECT 1 FROM conflicts WHERE id = ?1 AND resolved_at IS NULL;

-- name: wait_for
INSERT INTO callback_waits (app_id, reference, callback_id) VALUES (?1, ?2, ?3);

-- name: resolve_conflict
-- Index: primary key.
UPDATE conflicts
SET resolved_at = ?2, resolution = ?3, resolved_by = ?4, resolution_reason = ?5
WHERE id = ?1;
