-- name: expired_leases
-- Expired leases of all endpoints: nearly always none. Index: deliveries_leased.
SELECT app_id, endpoint_id, id, due_at FROM deliveries
WHERE state = 'sending' AND due_at <= ?1 AND due_at >= ?2 ORDER BY due_at, id;

-- name: is_leased
-- Index: primary key.
SELECT 1 FROM deliveries WHERE id = ?2 AND app_id = ?1 AND token = ?3 AND state = 'sending';

-- name: requeue
UPDATE deliveries SET state = 'waiting', due_at = ?3, started_at = NULL, tries = ?4
WHERE id = ?2 AND app_id = ?1;
