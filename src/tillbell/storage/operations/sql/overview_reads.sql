-- Lists over all applications, along primary keys.

-- name: all_callbacks
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {callback} FROM callbacks c
WHERE c.id > :low AND c.id < :high ORDER BY c.id {order} LIMIT :limit;

-- name: all_transactions
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {transaction} FROM transactions t
WHERE t.id > :low AND t.id < :high ORDER BY t.id {order} LIMIT :limit;

-- name: all_conflicts
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {conflict} FROM conflicts f
WHERE f.id > :low AND f.id < :high ORDER BY f.id {order} LIMIT :limit;

-- name: application_ids
-- Index: records_id.
SELECT id FROM records WHERE kind = 'Application' ORDER BY id;
