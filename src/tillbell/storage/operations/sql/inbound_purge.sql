-- name: begin_application_removal
INSERT INTO removals (app_id) VALUES (?1);

-- name: remove_callbacks
-- Index: callbacks_app.
DELETE FROM callbacks WHERE app_id = ?1;

-- name: remove_keys
-- Index: callback_keys_app; on PostgreSQL the primary key.
DELETE FROM callback_keys WHERE app_id = ?1;

-- name: remove_waits
-- Index: primary key.
DELETE FROM callback_waits WHERE app_id = ?1;

-- name: remove_items
-- Index: seen_items_app; on PostgreSQL the primary key.
DELETE FROM seen_items WHERE app_id = ?1;

-- name: remove_payment_attempts
-- Index: primary key.
DELETE FROM payment_attempts WHERE app_id = ?1;

-- name: remove_transactions
-- Index: transactions_app; on PostgreSQL the primary key.
DELETE FROM transactions WHERE app_id = ?1;

-- name: remove_conflicts
-- Index: conflicts_app; on PostgreSQL the primary key.
DELETE FROM conflicts WHERE app_id = ?1;

-- name: remove_audit
-- Index: primary key.
DELETE FROM audit WHERE app_id = ?1;

-- name: end_application_removal
DELETE FROM removals WHERE app_id = ?1;
