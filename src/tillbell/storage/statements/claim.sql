-- name: lost_leases
-- Leases of any endpoint that ran out: nearly always none. Index: deliveries_leased.
SELECT endpoint_id, due_at, id FROM deliveries
WHERE state = 'sending' AND due_at <= ?1 ORDER BY due_at, id;

-- name: is_held
-- Index: primary key.
SELECT 1 FROM deliveries WHERE id = ?1 AND token = ?2 AND state = 'sending';

-- name: requeue
UPDATE deliveries SET state = 'waiting', due_at = ?2, started_at = NULL WHERE id = ?1;
