-- name: transitions
-- Index: primary key.
SELECT {transition}
FROM transactions t CROSS JOIN transitions s ON s.transaction_id = t.id
WHERE t.id = ?2 AND {aside}t.app_id = ?1 ORDER BY s.sequence;

-- name: effects
-- At most one of each kind. Index: primary key.
SELECT {effect}
FROM transactions t CROSS JOIN effects e ON e.transaction_id = t.id
WHERE t.id = ?2 AND {aside}t.app_id = ?1 ORDER BY e.sequence, e.kind;

-- name: request
-- Index: callback_requests_callback.
SELECT r.request FROM callback_requests r CROSS JOIN callbacks c ON c.id = r.callback_id
WHERE r.callback_id = ?2 AND c.app_id = ?1;
