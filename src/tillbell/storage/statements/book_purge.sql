-- name: delete_keys
-- Index: callback_keys_age.
DELETE FROM callback_keys WHERE (source_id, dedupe_key) IN (
    SELECT source_id, dedupe_key FROM callback_keys
    WHERE taken_at < ?1 ORDER BY taken_at LIMIT ?2)
RETURNING 1;

-- name: delete_items
-- Index: seen_items_age.
DELETE FROM seen_items WHERE (source_id, item_key) IN (
    SELECT source_id, item_key FROM seen_items WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2)
RETURNING 1;

-- name: begin_removal
INSERT INTO removals (app_id) VALUES (?1);

-- name: remove_callbacks
-- Index: callbacks_app.
DELETE FROM callbacks WHERE app_id = ?1;

-- name: remove_keys
-- Index: callback_keys_app.
DELETE FROM callback_keys WHERE app_id = ?1;

-- name: remove_waits
-- Index: primary key.
DELETE FROM callback_waits WHERE app_id = ?1;

-- name: remove_items
-- Index: seen_items_app.
DELETE FROM seen_items WHERE app_id = ?1;

-- name: remove_effects
-- Indexes: transactions_app, primary key.
DELETE FROM effects WHERE transaction_id IN (SELECT id FROM transactions WHERE app_id = ?1);

-- name: remove_transitions
-- Indexes: transactions_app, primary key.
DELETE FROM transitions WHERE transaction_id IN (SELECT id FROM transactions WHERE app_id = ?1);

-- name: remove_transactions
-- Index: transactions_app.
DELETE FROM transactions WHERE app_id = ?1;

-- name: remove_conflicts
-- Index: conflicts_app.
DELETE FROM conflicts WHERE app_id = ?1;

-- name: remove_audit
-- Index: primary key.
DELETE FROM audit WHERE app_id = ?1;

-- name: end_removal
DELETE FROM removals WHERE app_id = ?1;
