-- name: end
-- Move a delivery to a terminal state without an attempt.
UPDATE deliveries SET state = ?3, started_at = NULL WHERE id = ?2 AND app_id = ?1;
