-- name: transitions
-- Index: primary key.
SELECT {transition} FROM transitions s
WHERE s.app_id = ?1 AND s.transaction_id = ?2 ORDER BY s.sequence;

-- name: effects
-- At most one of each kind. Index: primary key.
SELECT {effect} FROM effects e
WHERE e.app_id = ?1 AND e.transaction_id = ?2 ORDER BY e.sequence, e.kind;

-- name: request
-- Index: primary key.
SELECT request FROM callback_requests WHERE app_id = ?1 AND callback_id = ?2;
