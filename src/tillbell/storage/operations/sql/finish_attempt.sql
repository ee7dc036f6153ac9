-- name: end
-- Move a delivery to a terminal state without an attempt.
UPDATE deliveries SET state = ?3, started_at = NULL WHERE id = ?2 AND app_id = ?1;

-- name: return_try
-- The attempt that has just ended was none of the schedule's tries. Index: primary key.
UPDATE deliveries SET tries = tries - 1 WHERE id = ?2 AND app_id = ?1 AND tries > 0;

-- name: has_accepted_attempt
-- Index: primary key.
SELECT EXISTS (
    SELECT 1 FROM attempts a
    WHERE a.app_id = ?1 AND a.result = 'accepted'
      AND a.id > 'atmpt_' || substr(?2, 5) AND a.id < 'atmpt_' || substr(?2, 5) || '~');
