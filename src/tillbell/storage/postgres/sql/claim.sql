-- Rows that another process holds are passed over: they are its work.

-- fragment: with_message
{message_of_delivery}
LEFT JOIN LATERAL (
    SELECT CASE WHEN octet_length(body) > 8192 THEN ''::bytea ELSE body END AS body FROM bodies b
    WHERE b.app_id = d.app_id AND b.message_id = {delivery_message} AND b.variant = d.variant
    OFFSET 0) b ON true

-- name: due_deliveries
-- What waits for each endpoint and may be sent now, oldest due first, with message and body. All
-- endpoints at once: to begin a statement on partitions costs more than what it does for one.
-- Index: deliveries_waiting.
SELECT {delivery}, {message}, b.body
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[], ?5::bigint[])
    AS wanted (app_id, endpoint_id, now, most, since)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries d
    WHERE d.endpoint_id = wanted.endpoint_id AND d.app_id = wanted.app_id AND d.held = 0
      AND d.due_at <= wanted.now AND d.due_at >= wanted.since AND d.state = 'waiting'
    ORDER BY d.due_at, d.id LIMIT wanted.most
    FOR UPDATE SKIP LOCKED) d
{with_message};

-- name: deliveries_with_expired_leases
-- Index: primary keys, and not that of what is due (+ 0): all others would be looked at for each.
SELECT {delivery}, {message}, b.body
FROM unnest(?1::text[], ?2::text[], ?3::bigint[]) AS lost (app_id, id, now)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries d
    WHERE d.id = lost.id AND d.app_id = lost.app_id AND d.state = 'sending'
      AND d.due_at + 0 <= lost.now
    FOR UPDATE SKIP LOCKED) d
{with_message};

-- name: lease
-- Open the next attempt; the new token shuts out whoever had the delivery before.
UPDATE deliveries
SET state = 'sending', due_at = to_.due_at, started_at = to_.started_at,
    attempts = attempts + 1, tries = to_.tries, token = token + 1
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[], ?5::bigint[])
    AS to_ (app_id, id, due_at, started_at, tries)
WHERE deliveries.id = to_.id AND deliveries.app_id = to_.app_id;

-- name: renew
UPDATE deliveries SET due_at = held.until
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[]) AS held (app_id, id, token, until)
WHERE deliveries.id = held.id AND deliveries.app_id = held.app_id
  AND deliveries.token = held.token AND deliveries.state = 'sending';

-- name: release
-- Back in the queue; the attempt that never was is not counted. The token stays spent.
UPDATE deliveries
SET state = 'waiting', due_at = held.now, started_at = NULL, attempts = attempts - 1,
    tries = tries - 1
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[]) AS held (app_id, id, token, now)
WHERE deliveries.id = held.id AND deliveries.app_id = held.app_id
  AND deliveries.token = held.token AND deliveries.state = 'sending'
RETURNING deliveries.id, deliveries.app_id, deliveries.endpoint_id;

-- name: leased_deliveries
-- Index: deliveries_leased.
SELECT {delivery}, m.event_type
FROM deliveries d {message_of_delivery}
WHERE d.state = 'sending' FOR UPDATE OF d;
