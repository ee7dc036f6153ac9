-- name: due_deliveries
-- What one endpoint may be sent now, with message and body: what waits and is not held back, and
-- what a lost lease left. Oldest due first. Indexes: deliveries_waiting, deliveries_leased.
WITH due AS (
    SELECT * FROM (
        SELECT id, due_at FROM deliveries
        WHERE endpoint_id = ?1 AND held = 0 AND due_at <= ?2 AND state = 'waiting'
        ORDER BY due_at, id LIMIT ?3)
    UNION ALL
    SELECT * FROM (
        SELECT id, due_at FROM deliveries
        WHERE endpoint_id = ?1 AND due_at <= ?2 AND state = 'sending'
        ORDER BY due_at, id LIMIT ?3)
    ORDER BY due_at, id LIMIT ?3)
SELECT {delivery}, {message}, b.body
FROM due
CROSS JOIN deliveries d ON d.id = due.id
CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
LEFT JOIN bodies b ON b.message_id = d.message_id AND b.variant = d.variant
ORDER BY due.due_at, due.id;

-- name: lease
-- Open the next attempt; the new token shuts out whoever had the delivery before.
UPDATE deliveries
SET state = 'sending', due_at = to_.column2, started_at = to_.column3,
    attempts = attempts + 1, tries = tries + 1, token = token + 1
FROM (VALUES (?1, ?2, ?3)) AS to_
WHERE id = to_.column1;

-- name: renew
UPDATE deliveries SET due_at = ?3 WHERE id = ?1 AND token = ?2 AND state = 'sending';

-- name: release
-- Back in the queue; the attempt that never was is not counted. The token stays spent.
UPDATE deliveries
SET state = 'waiting', due_at = ?3, started_at = NULL, attempts = attempts - 1, tries = tries - 1
WHERE id = ?1 AND token = ?2 AND state = 'sending'
RETURNING app_id, endpoint_id;

-- name: leased_deliveries
-- Index: deliveries_leased.
SELECT {delivery}, m.event_type
FROM deliveries d JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.state = 'sending';

-- name: requeue
UPDATE deliveries SET state = 'waiting', due_at = ?2, started_at = NULL WHERE id = ?1;
