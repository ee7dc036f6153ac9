-- name: end
-- Move a delivery to a terminal state without an attempt.
UPDATE deliveries SET state = ?2, started_at = NULL WHERE id = ?1;
