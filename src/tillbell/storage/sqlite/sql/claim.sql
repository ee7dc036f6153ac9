-- fragment: claimable
SELECT {delivery}, {message}, iif(length(b.body) > 8192, x'', b.body)
FROM deliveries d
CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
LEFT JOIN bodies b ON b.message_id = d.message_id AND b.variant = d.variant

-- name: due_deliveries
-- What waits for one endpoint and may be sent now, oldest due first, with message and body.
-- One walk along the index: no temporary table, whose making costs more than all the rest.
-- Index: deliveries_waiting.
{claimable}
WHERE d.endpoint_id = ?2 AND d.app_id = ?1 AND d.held = 0 AND d.due_at <= ?3 AND d.due_at >= ?5
  AND d.state = 'waiting'
ORDER BY d.due_at, d.id LIMIT ?4;

-- name: deliveries_with_expired_leases
-- Index: primary keys.
{claimable}
WHERE d.id = ?2 AND d.app_id = ?1 AND d.due_at <= ?3;

-- name: lease
-- Open the next attempt; the new token shuts out whoever had the delivery before.
UPDATE deliveries
SET state = 'sending', due_at = to_.column3, started_at = to_.column4,
    attempts = attempts + 1, tries = to_.column5, token = token + 1
FROM (VALUES (?1, ?2, ?3, ?4, ?5)) AS to_
WHERE id = to_.column2 AND app_id = to_.column1;

-- name: renew
UPDATE deliveries SET due_at = to_.column4
FROM (VALUES (?1, ?2, ?3, ?4)) AS to_
WHERE id = to_.column2 AND app_id = to_.column1 AND token = to_.column3 AND state = 'sending';

-- name: release
-- Back in the queue; the attempt that never was is not counted. The token stays spent.
UPDATE deliveries
SET state = 'waiting', due_at = ?4, started_at = NULL, attempts = attempts - 1, tries = tries - 1
WHERE id = ?2 AND app_id = ?1 AND token = ?3 AND state = 'sending'
RETURNING id, app_id, endpoint_id;

-- name: leased_deliveries
-- Index: deliveries_leased.
SELECT {delivery}, m.event_type
FROM deliveries d JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.state = 'sending';
