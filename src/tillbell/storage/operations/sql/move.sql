-- Whole tables in the order of their keys: what a move copies and compares.
-- The bindings are the last key of the page before, and the number of rows of a page.

-- name: move_read_records
-- Index: primary key, as in all that follow.
SELECT kind, scope, id, uid, doc FROM records
WHERE (kind, scope, id) > (?1, ?2, ?3) ORDER BY kind, scope, id LIMIT ?4;

-- name: move_read_shop_records
SELECT kind, app_id, id, uid, updated_at, number, status, payment_status, customer_id, email,
       order_id, doc
FROM shop_records
WHERE (kind, app_id, id) > (?1, ?2, ?3) ORDER BY kind, app_id, id LIMIT ?4;

-- name: move_read_messages
SELECT {message} FROM messages m
WHERE (m.app_id, m.id) > (?1, ?2) ORDER BY m.app_id, m.id LIMIT ?3;

-- name: move_read_deliveries
SELECT {delivery}, d.held FROM deliveries d WHERE d.id > ?1 ORDER BY d.id LIMIT ?2;

-- name: move_read_attempts
SELECT {attempt} FROM attempts a WHERE a.id > ?1 ORDER BY a.id LIMIT ?2;

-- name: move_read_idempotency
SELECT key, fingerprint, answer, created_at FROM idempotency
WHERE key > ?1 ORDER BY key LIMIT ?2;

-- name: move_read_callbacks
SELECT {callback} FROM callbacks c WHERE c.id > ?1 ORDER BY c.id LIMIT ?2;

-- name: move_read_waits
SELECT app_id, reference, callback_id FROM callback_waits
WHERE (app_id, reference, callback_id) > (?1, ?2, ?3)
ORDER BY app_id, reference, callback_id LIMIT ?4;

-- name: move_read_payment_attempts
-- Index: primary key.
SELECT app_id, psp_transaction_id, source_id, transaction_id FROM payment_attempts
WHERE (app_id, psp_transaction_id, source_id, transaction_id) > (?1, ?2, ?3, ?4)
ORDER BY app_id, psp_transaction_id, source_id, transaction_id LIMIT ?5;

-- name: move_read_transactions
-- form {whose} payments: t.parent_id IS NULL
-- form {whose} linked: t.parent_id IS NOT NULL
-- form {whose} all: TRUE
-- Payments, transactions that are linked to them, or all.
SELECT {transaction} FROM transactions t
WHERE (t.app_id, t.id) > (?1, ?2) AND {whose} ORDER BY t.app_id, t.id LIMIT ?3;

-- name: move_read_conflicts
SELECT {conflict} FROM conflicts f
WHERE (f.app_id, f.id) > (?1, ?2) ORDER BY f.app_id, f.id LIMIT ?3;

-- name: move_read_audit
SELECT {audit_entry} FROM audit u
WHERE (u.app_id, u.id) > (?1, ?2) ORDER BY u.app_id, u.id LIMIT ?3;
