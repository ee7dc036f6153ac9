-- Rows that another process holds are passed over: they are its work.

-- fragment: claimable
SELECT {delivery}, {message}, b.body
FROM deliveries d
JOIN messages m ON m.app_id = d.app_id AND m.id = {delivery_message}
LEFT JOIN bodies b ON b.message_id = {delivery_message} AND b.variant = d.variant

-- name: due_deliveries
-- What waits for one endpoint and may be sent now, oldest due first, with message and body.
-- Index: deliveries_waiting.
{claimable}
WHERE d.endpoint_id = ?1 AND d.held = 0 AND d.due_at <= ?2 AND d.state = 'waiting'
ORDER BY d.due_at, d.id LIMIT ?3
FOR UPDATE OF d SKIP LOCKED;

-- name: lost_delivery
-- Index: primary keys.
{claimable}
WHERE d.id = ?1 AND d.state = 'sending' AND d.due_at <= ?2
FOR UPDATE OF d SKIP LOCKED;

-- name: lease
-- Open the next attempt; the new token shuts out whoever had the delivery before.
UPDATE deliveries
SET state = 'sending', due_at = to_.due_at, started_at = to_.started_at,
    attempts = attempts + 1, tries = tries + 1, token = token + 1
FROM unnest(?1::text[], ?2::bigint[], ?3::bigint[]) AS to_ (id, due_at, started_at)
WHERE deliveries.id = to_.id;

-- name: leased_deliveries
-- Index: deliveries_leased.
SELECT {delivery}, m.event_type
FROM deliveries d JOIN messages m ON m.app_id = d.app_id AND m.id = {delivery_message}
WHERE d.state = 'sending' FOR UPDATE OF d;
