-- name: due_lanes
-- Endpoints with open deliveries, one after the other: what waits by skipping through
-- deliveries_waiting, from the first due of one endpoint to that of the next; leases from
-- deliveries_leased, which is as long as what is in flight.
WITH RECURSIVE
waiting (endpoint_id, app_id, held, due_at, number) AS (
    (SELECT endpoint_id, app_id, held, due_at, 1::bigint FROM deliveries
     WHERE state = 'waiting' AND endpoint_id > :after
     ORDER BY endpoint_id, held, due_at, id LIMIT 1)
    UNION ALL
    SELECT following.*, number + 1 FROM waiting CROSS JOIN LATERAL (
        SELECT d.endpoint_id, d.app_id, d.held, d.due_at FROM deliveries d
        WHERE d.state = 'waiting' AND d.endpoint_id > waiting.endpoint_id
        ORDER BY d.endpoint_id, d.held, d.due_at, d.id LIMIT 1) following
    WHERE number < :limit),
open (endpoint_id, app_id, due_at) AS (
    SELECT endpoint_id, app_id, CASE WHEN held = 0 THEN due_at END FROM waiting
    UNION ALL
    SELECT endpoint_id, app_id, due_at FROM deliveries
    WHERE state = 'sending' AND endpoint_id > :after)
SELECT min(app_id), endpoint_id, min(due_at) FROM open
GROUP BY endpoint_id ORDER BY endpoint_id LIMIT :limit;

-- name: next_due
-- `lanes` is JSON: [[application, endpoint, from which due time on], …].
-- Indexes: deliveries_waiting, deliveries_leased.
WITH wanted (app_id, endpoint_id, since) AS (
    SELECT DISTINCT lane ->> 0, lane ->> 1, CAST(lane ->> 2 AS bigint)
    FROM jsonb_array_elements(:lanes::jsonb) AS lane)
SELECT wanted.endpoint_id, min(due.due_at)
FROM wanted
JOIN (SELECT app_id, endpoint_id, due_at FROM deliveries
      WHERE state = 'sending' AND due_at >= :leases
      UNION ALL
      SELECT w.app_id, w.endpoint_id, (SELECT min(due_at) FROM deliveries d
                             WHERE d.state = 'waiting' AND d.app_id = w.app_id
                               AND d.endpoint_id = w.endpoint_id AND d.held = 0
                               AND d.due_at >= w.since)
      FROM wanted w) due
    ON due.app_id = wanted.app_id AND due.endpoint_id = wanted.endpoint_id
GROUP BY wanted.endpoint_id HAVING min(due.due_at) IS NOT NULL;

-- fragment: message_filter
(:event_types::jsonb IS NULL OR :event_types::jsonb ? m.event_type)
AND (:channel::text IS NULL OR m.channels::jsonb ? :channel::text)
AND (:tag::text IS NULL OR m.tags::jsonb ? :tag::text)

-- fragment: tried
(:tried::int IS NULL OR d.state <> 'waiting' OR (d.attempts > 0)::int = :tried::int)

-- name: deliveries_of_endpoint
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {state} any_of_states: :states::jsonb ? d.state AND {tried}
-- form {state} failed_only: d.state = 'failed'
-- Indexes: deliveries_endpoint, deliveries_failed.
SELECT {delivery}, {message}
FROM deliveries d {message_of_delivery}
WHERE d.endpoint_id = :endpoint_id AND d.id > :low AND d.id < :high AND d.app_id = :app_id
  AND {state} AND {message_filter}
ORDER BY d.id {order} LIMIT :limit;

-- name: delivery
-- Index: primary keys.
SELECT {delivery}, {message}
FROM deliveries d {message_of_delivery}
WHERE d.id = :id AND d.app_id = :app_id;

-- fragment: attempt_filter
(:succeeded::int IS NULL OR (a.result = 'accepted')::int = :succeeded::int)
AND a.status_code BETWEEN :lowest AND :highest
AND (a.started_at, a.id) > (:low_at::bigint, :low::text)
AND (a.started_at, a.id) < (:high_at::bigint, :high::text)

-- name: attempts_of_message
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary keys. A message has few attempts: they are sorted.
SELECT {attempt}
FROM attempts a {message_of_attempt}
WHERE a.id > :first AND a.id < :last AND a.app_id = :app_id
  AND (:endpoint_id::text IS NULL OR a.endpoint_id = :endpoint_id::text)
  AND {attempt_filter} AND {message_filter}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: attempts_of_endpoint
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Indexes: attempts_endpoint, primary key.
SELECT {attempt}
FROM attempts a {message_of_attempt}
WHERE a.app_id = :app_id AND a.endpoint_id = :endpoint_id
  AND {attempt_filter} AND {message_filter}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: select_deliveries
-- form {state} any_of_states: :states::jsonb ? d.state AND {tried}
-- form {state} failed_only: d.state = 'failed'
-- Deliveries for a bulk operation, with the status of their last attempt.
-- Indexes: deliveries_endpoint, deliveries_failed.
SELECT d.id
FROM deliveries d {message_of_delivery}
WHERE d.endpoint_id = :endpoint_id AND d.id > :low AND d.id < :high AND d.app_id = :app_id
  AND {state} AND {message_filter}
  AND (:lowest::bigint IS NULL OR (
        SELECT a.status_code FROM attempts a
        WHERE a.app_id = d.app_id
          AND a.id > 'atmpt_' || substr(d.id, 5) AND a.id < 'atmpt_' || substr(d.id, 5) || '~'
        ORDER BY a.id DESC LIMIT 1) BETWEEN :lowest::bigint AND :highest::bigint)
ORDER BY d.id LIMIT :limit;

-- name: body
-- Index: primary key.
SELECT body FROM bodies WHERE app_id = ?1 AND message_id = ?2 AND variant = ?3;

-- name: bodies_of_messages
-- `messages` is JSON: [[application, message], …]. Index: primary key.
SELECT b.message_id, b.body
FROM jsonb_array_elements(:messages::jsonb) AS w
CROSS JOIN LATERAL (
    SELECT message_id, body FROM bodies
    WHERE app_id = w ->> 0 AND message_id = w ->> 1 AND variant = '' OFFSET 0) b;

-- name: deliveries_of_messages
-- `messages` is JSON: [[application, message], …]. Index: primary key; see deliveries_of_app.
SELECT {delivery}
FROM jsonb_array_elements(:messages::jsonb) AS w
CROSS JOIN LATERAL (
    SELECT * FROM deliveries WHERE app_id = w ->> 0
    AND id > 'dlv_' || substr(w ->> 1, 5) AND id < 'dlv_' || substr(w ->> 1, 5) || '~'
    AND (id, app_id) > ('dlv_' || substr(w ->> 1, 5), '')
    ORDER BY id OFFSET 0) d;

-- name: ended_attempts
-- Without what was sent and answered. Indexes: attempts_ended, primary key.
SELECT a.id, {attempt_delivery}, a.app_id, a.endpoint_id, {attempt_message}, a.event_type, a.number,
    a.trigger, a.result, a.started_at, a.duration_us, a.url, a.status_code, a.error, a.detail,
    ''::bytea, '', ''::bytea, a.phases, {delivery}
FROM (SELECT * FROM attempts
      WHERE started_at + duration_us > :after AND (:app_id::text IS NULL OR app_id = :app_id::text)
      ORDER BY started_at + duration_us LIMIT :limit) a
CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE deliveries.app_id = a.app_id AND deliveries.id = {attempt_delivery} OFFSET 0) d
ORDER BY a.started_at + a.duration_us;

-- name: failing_endpoints
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: records_failing. The JSON of a failing one has no "failing_since" null (in hex).
SELECT doc FROM records
WHERE kind = 'EndpointHealth' AND position('\x226661696c696e675f73696e6365223a6e756c6c'::bytea IN doc) = 0
  AND (:scope::text IS NULL OR scope = :scope::text) AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: records_named
-- `keys` is JSON: [[scope, id], …]. Index: primary key.
SELECT r.id, r.doc FROM jsonb_array_elements(:keys::jsonb) AS w
CROSS JOIN LATERAL (
    SELECT id, doc FROM records
    WHERE kind = :kind AND scope = w ->> 0 AND id = w ->> 1 OFFSET 0) r;

-- name: count_failing
-- Index: records_failing.
SELECT count(*) FROM (
    SELECT 1 FROM records
    WHERE kind = 'EndpointHealth'
      AND position('\x226661696c696e675f73696e6365223a6e756c6c'::bytea IN doc) = 0
      AND (:app_id::text IS NULL OR scope = :app_id::text) AND id > :low LIMIT :limit) f;

-- name: attempt_ends
-- `attempts` is JSON: [[application, attempt], …]. Index: primary key.
SELECT a.id, a.status_code, a.error, a.detail, a.started_at + a.duration_us
FROM jsonb_array_elements(:attempts::jsonb) AS w
CROSS JOIN LATERAL (
    SELECT * FROM attempts WHERE app_id = w ->> 0 AND id = w ->> 1 OFFSET 0) a;

-- name: delivery_facts
-- `deliveries` is JSON: [[application, delivery, message, endpoint, order key or null], …].
-- Indexes: primary key of bodies, deliveries_ordered.
SELECT w ->> 1,
    EXISTS (SELECT 1 FROM bodies
        WHERE app_id = w ->> 0 AND message_id = w ->> 2 AND variant = '' OFFSET 0),
    (SELECT min(id) FROM (
        SELECT id FROM deliveries WHERE app_id = w ->> 0 AND endpoint_id = w ->> 3
        AND order_key = w ->> 4 AND state IN ('waiting', 'sending') OFFSET 0) d)
FROM jsonb_array_elements(:deliveries::jsonb) AS w;

-- name: totals
-- Index: primary key.
SELECT coalesce(sum(waiting), 0)::bigint, coalesce(sum(sending), 0)::bigint,
       coalesce(sum(succeeded), 0)::bigint, coalesce(sum(failed), 0)::bigint,
       coalesce(sum(discarded), 0)::bigint
FROM totals
WHERE app_id = ?1 AND endpoint_id = ?2 AND hour >= ?3 AND hour < ?4;

-- name: message
-- By id or event id, an id first. Index: primary keys.
SELECT {message} FROM (
    SELECT :key::text AS id
    UNION SELECT message_id FROM event_ids
    WHERE app_id = :app_id AND event_id = :key::text) found
CROSS JOIN LATERAL (
    SELECT * FROM messages WHERE app_id = :app_id AND messages.id = found.id OFFSET 0) m
ORDER BY m.id = :key::text DESC LIMIT 1;

-- name: record
-- By id or uid, an id first. Indexes: primary key, records_uid.
SELECT r.doc FROM (
    SELECT ?3::text AS id
    UNION SELECT id FROM records WHERE kind = ?1 AND scope = ?2 AND uid = ?3::text) found
CROSS JOIN LATERAL (
    SELECT id, doc FROM records
    WHERE kind = ?1 AND scope = ?2 AND records.id = found.id OFFSET 0) r
ORDER BY r.id = ?3::text DESC LIMIT 1;
