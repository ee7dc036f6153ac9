-- name: callback
-- Index: primary key.
SELECT {callback} FROM callbacks c WHERE c.id = :id AND c.app_id = :app_id;

-- name: callbacks
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} by_app: c.app_id = :app_id
-- form {by} by_outcome: c.app_id = :app_id AND c.outcome = :outcome
-- form {by} by_refusal: c.app_id = :app_id AND c.trust IS NULL
-- form {by} by_source: c.source_id = :source_id AND {no_index}c.app_id = :app_id
-- form {by} by_transaction: c.transaction_id = :transaction_id AND {no_index}c.app_id = :app_id
-- Indexes: callbacks_app, callbacks_outcome, callbacks_refused, callbacks_source,
-- callbacks_transaction.
SELECT {callback} FROM callbacks c
WHERE {by} AND c.id > :low AND c.id < :high
  AND (CAST(:source_id AS TEXT) IS NULL OR c.source_id = :source_id)
  AND (CAST(:provider AS TEXT) IS NULL OR c.provider = :provider)
  AND (CAST(:outcome AS TEXT) IS NULL OR c.outcome = :outcome)
  AND (CAST(:is_refused AS INTEGER) IS NULL
       OR (CASE WHEN c.trust IS NULL THEN 1 ELSE 0 END) = CAST(:is_refused AS INTEGER))
  AND (CAST(:transaction_id AS TEXT) IS NULL OR c.transaction_id = :transaction_id)
ORDER BY c.id {order} LIMIT :limit;

-- name: unprocessed_callbacks
-- Index: callbacks_unprocessed.
SELECT {callback} FROM callbacks c
WHERE c.outcome IS NULL AND c.id > :after ORDER BY c.id LIMIT :limit;

-- name: callbacks_to_retry
-- Index: callbacks_retry.
SELECT {callback} FROM callbacks c
WHERE c.retry_at <= :now ORDER BY c.retry_at, c.id LIMIT :limit;

-- name: linked_transactions
-- Index: transactions_parent.
SELECT {transaction} FROM transactions t
WHERE t.parent_id = ?2 AND {no_index}t.app_id = ?1 ORDER BY t.id;

-- name: transactions
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} by_app: t.app_id = :app_id
-- form {by} by_status: t.app_id = :app_id AND t.status = :status
-- form {by} by_user: t.app_id = :app_id AND t.user_id = :user_id
-- form {by} by_parent: t.parent_id = :parent_id AND {no_index}t.app_id = :app_id
-- Indexes: transactions_app, transactions_status, transactions_user, transactions_parent.
SELECT {transaction} FROM transactions t
WHERE {by} AND t.id > :low AND t.id < :high
  AND {transaction_filter}
ORDER BY t.id {order} LIMIT :limit;

-- fragment: transaction_filter
(CAST(:status AS TEXT) IS NULL OR t.status = :status)
AND (CAST(:direction AS TEXT) IS NULL OR t.direction = :direction)
AND (CAST(:kind AS TEXT) IS NULL OR t.kind = :kind)
AND (CAST(:user_id AS TEXT) IS NULL OR t.user_id = :user_id)
AND (CAST(:parent_id AS TEXT) IS NULL OR t.parent_id = :parent_id)

-- name: transactions_to_check
-- Index: transactions_check.
SELECT {transaction} FROM transactions t
WHERE t.check_at <= :now ORDER BY t.check_at, t.id LIMIT :limit;

-- name: conflict
-- Index: primary key.
SELECT {conflict} FROM conflicts f WHERE f.id = ?1 AND f.app_id = ?2;

-- name: conflicts
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} by_app: f.app_id = :app_id
-- form {by} by_being_open: f.app_id = :app_id AND f.resolved_at IS NULL
-- form {by} by_transaction: f.transaction_id = :transaction_id AND {no_index}f.app_id = :app_id
-- Indexes: conflicts_app, conflicts_open, conflicts_transaction.
SELECT {conflict} FROM conflicts f
WHERE {by} AND f.id > :low AND f.id < :high AND (CAST(:open_only AS INTEGER) = 0 OR {no_index}f.resolved_at IS NULL)
ORDER BY f.id {order} LIMIT :limit;

-- name: audit
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} by_app: u.app_id = :app_id
-- form {by} by_target: u.target = :target AND {no_index}u.app_id = :app_id
-- Indexes: primary key, audit_target.
SELECT {audit_entry} FROM audit u
WHERE {by} AND u.id > :low AND u.id < :high
ORDER BY u.id {order} LIMIT :limit;
