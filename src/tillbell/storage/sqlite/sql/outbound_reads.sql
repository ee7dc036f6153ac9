-- name: due_lanes
-- Endpoints with open deliveries, one after the other: what waits by skipping through
-- deliveries_waiting, leases from deliveries_leased, which is as long as what is in flight: the
-- planner itself would read all deliveries by endpoint.
WITH RECURSIVE
waiting (endpoint_id, number) AS (
    SELECT min(endpoint_id), 1 FROM deliveries WHERE state = 'waiting' AND endpoint_id > :after
    UNION ALL
    SELECT (SELECT min(endpoint_id) FROM deliveries
            WHERE state = 'waiting' AND endpoint_id > waiting.endpoint_id), number + 1
    FROM waiting WHERE waiting.endpoint_id IS NOT NULL AND number < :limit),
open (endpoint_id, due_at) AS (
    SELECT endpoint_id,
           (SELECT min(due_at) FROM deliveries d
            WHERE d.state = 'waiting' AND d.endpoint_id = waiting.endpoint_id AND d.held = 0)
    FROM waiting WHERE endpoint_id IS NOT NULL
    UNION ALL
    SELECT endpoint_id, min(due_at) FROM deliveries INDEXED BY deliveries_leased
    WHERE state = 'sending' AND endpoint_id > :after GROUP BY endpoint_id)
SELECT (SELECT app_id FROM deliveries d WHERE d.endpoint_id = open.endpoint_id LIMIT 1),
       endpoint_id, min(due_at)
FROM open GROUP BY endpoint_id ORDER BY endpoint_id LIMIT :limit;

-- name: next_due
-- `lanes` is JSON: [[application, endpoint, from which due time on], …].
-- Indexes: deliveries_waiting, deliveries_leased.
SELECT wanted.value, min(due.due_at)
FROM (SELECT DISTINCT value ->> 1 AS value FROM json_each(:lanes)) wanted
JOIN (SELECT endpoint_id, due_at FROM deliveries WHERE state = 'sending' AND due_at >= :leases
      UNION ALL
      SELECT value ->> 1, (SELECT min(due_at) FROM deliveries d
                           WHERE d.state = 'waiting' AND d.endpoint_id = value ->> 1
                             AND d.held = 0 AND d.due_at >= CAST(value ->> 2 AS INTEGER))
      FROM json_each(:lanes)) due ON due.endpoint_id = wanted.value
GROUP BY wanted.value HAVING min(due.due_at) IS NOT NULL;

-- fragment: message_filter
(:event_types IS NULL OR m.event_type IN (SELECT value FROM json_each(:event_types)))
AND (:channel IS NULL OR EXISTS (SELECT 1 FROM json_each(m.channels) WHERE value = :channel))
AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(m.tags) WHERE value = :tag))

-- fragment: tried
(:tried IS NULL OR d.state <> 'waiting' OR (d.attempts > 0) = :tried)

-- name: delivery
-- Index: primary keys.
SELECT {delivery}, {message}
FROM deliveries d JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.id = :id AND d.app_id = :app_id;

-- name: deliveries_of_endpoint
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {state} any_of_states: d.state IN (SELECT value FROM json_each(:states)) AND {tried}
-- form {state} failed_only: d.state = 'failed'
-- Indexes: deliveries_endpoint, deliveries_failed.
SELECT {delivery}, {message}
FROM deliveries d CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.endpoint_id = :endpoint_id AND d.id > :low AND d.id < :high AND d.app_id = :app_id
  AND {state} AND {message_filter}
ORDER BY d.id {order} LIMIT :limit;

-- fragment: attempt_filter
(:succeeded IS NULL OR (a.result = 'accepted') = :succeeded)
AND a.status_code BETWEEN :lowest AND :highest
AND (a.started_at, a.id) > (:low_at, :low) AND (a.started_at, a.id) < (:high_at, :high)

-- name: attempts_of_message
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary keys. A message has few attempts: they are sorted. Another index than the primary
-- key (an autoindex) would read those of all messages in the order of their starts.
SELECT {attempt}
FROM attempts a INDEXED BY sqlite_autoindex_attempts_1 CROSS JOIN messages m ON m.app_id = a.app_id AND m.id = a.message_id
WHERE a.id > :first AND a.id < :last AND a.app_id = :app_id
  AND (:endpoint_id IS NULL OR a.endpoint_id = :endpoint_id)
  AND {attempt_filter} AND {message_filter}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: attempts_of_endpoint
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Indexes: attempts_endpoint, primary key.
SELECT {attempt}
FROM attempts a CROSS JOIN messages m ON m.app_id = a.app_id AND m.id = a.message_id
WHERE a.endpoint_id = :endpoint_id AND a.app_id = :app_id
  AND {attempt_filter} AND {message_filter}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: select_deliveries
-- form {state} any_of_states: d.state IN (SELECT value FROM json_each(:states)) AND {tried}
-- form {state} failed_only: d.state = 'failed'
-- Deliveries for a bulk operation, with the status of their last attempt.
-- Indexes: deliveries_endpoint, deliveries_failed.
SELECT d.id
FROM deliveries d CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.endpoint_id = :endpoint_id AND d.id > :low AND d.id < :high AND d.app_id = :app_id
  AND {state} AND {message_filter}
  AND (:lowest IS NULL OR (
        SELECT a.status_code FROM attempts a
        WHERE a.id > 'atmpt_' || substr(d.id, 5) AND a.id < 'atmpt_' || substr(d.id, 5) || '~'
        ORDER BY a.id DESC LIMIT 1) BETWEEN :lowest AND :highest)
ORDER BY d.id LIMIT :limit;

-- name: body
-- Index: bodies_message.
SELECT b.body FROM bodies b CROSS JOIN messages m ON m.app_id = ?1 AND m.id = b.message_id
WHERE b.message_id = ?2 AND b.variant = ?3;

-- name: bodies_of_messages
-- `messages` is JSON: [[application, message], …]. Indexes: primary key of messages, bodies_message.
SELECT b.message_id, b.body
FROM json_each(:messages) w
CROSS JOIN messages m ON m.app_id = w.value ->> 0 AND m.id = w.value ->> 1
CROSS JOIN bodies b ON b.message_id = m.id AND b.variant = '';

-- name: deliveries_of_messages
-- `messages` is JSON: [[application, message], …]. Index: primary key.
SELECT {delivery}
FROM json_each(:messages) w
CROSS JOIN deliveries d ON d.id > 'dlv_' || substr(w.value ->> 1, 5)
    AND d.id < 'dlv_' || substr(w.value ->> 1, 5) || '~' AND d.app_id = w.value ->> 0
ORDER BY w.key, d.id;

-- name: ended_attempts
-- Without what was sent and answered. Indexes: attempts_ended, primary key.
SELECT a.id, {attempt_delivery}, a.app_id, a.endpoint_id, {attempt_message}, a.event_type, a.number,
    a.trigger, a.result, a.started_at, a.duration_us, a.url, a.status_code, a.error, a.detail,
    x'', '', x'', a.phases, {delivery}
FROM attempts a INDEXED BY attempts_ended
CROSS JOIN deliveries d ON d.id = {attempt_delivery} AND d.app_id = a.app_id
WHERE a.started_at + a.duration_us > :after AND (:app_id IS NULL OR a.app_id = :app_id)
ORDER BY a.started_at + a.duration_us LIMIT :limit;

-- name: failing_endpoints
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: records_failing. The JSON of a failing one has no "failing_since" null (in hex).
SELECT doc FROM records
WHERE kind = 'EndpointHealth' AND instr(doc, x'226661696c696e675f73696e6365223a6e756c6c') = 0
  AND (:scope IS NULL OR scope = :scope) AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: records_named
-- `keys` is JSON: [[scope, id], …]. Index: primary key.
SELECT r.id, r.doc FROM json_each(:keys) w
CROSS JOIN records r ON r.kind = :kind AND r.scope = w.value ->> 0 AND r.id = w.value ->> 1;

-- name: count_failing
-- Index: records_failing.
SELECT count(*) FROM (
    SELECT 1 FROM records
    WHERE kind = 'EndpointHealth' AND instr(doc, x'226661696c696e675f73696e6365223a6e756c6c') = 0
      AND (:app_id IS NULL OR scope = :app_id) AND id > :low LIMIT :limit);

-- name: attempt_ends
-- `attempts` is JSON: [[application, attempt], …]. Index: primary key.
SELECT a.id, a.status_code, a.error, a.detail, a.started_at + a.duration_us
FROM json_each(:attempts) w
CROSS JOIN attempts a ON a.id = w.value ->> 1 AND a.app_id = w.value ->> 0;

-- name: delivery_facts
-- `deliveries` is JSON: [[application, delivery, message, endpoint, order key or null], …].
-- Indexes: primary key of messages, bodies_message, deliveries_ordered.
SELECT w.value ->> 1,
    EXISTS (SELECT 1 FROM messages m
        CROSS JOIN bodies b ON b.message_id = m.id AND b.variant = ''
        WHERE m.app_id = w.value ->> 0 AND m.id = w.value ->> 2),
    (SELECT min(d.id) FROM deliveries d INDEXED BY deliveries_ordered
        WHERE d.app_id = w.value ->> 0 AND d.endpoint_id = w.value ->> 3
          AND d.order_key = w.value ->> 4 AND d.state IN ('waiting', 'sending'))
FROM json_each(:deliveries) w;

-- name: totals
-- Index: primary key.
SELECT coalesce(sum(waiting), 0), coalesce(sum(sending), 0), coalesce(sum(succeeded), 0),
       coalesce(sum(failed), 0), coalesce(sum(discarded), 0)
FROM totals
WHERE app_id = ?1 AND endpoint_id = ?2 AND hour >= ?3 AND hour < ?4;

-- name: message
-- By id or event id, an id first. With OR, all messages of the application would be read.
-- Indexes: primary key, messages_event_id.
SELECT {message} FROM messages m
WHERE m.app_id = :app_id AND m.id IN (
    SELECT :key
    UNION ALL SELECT e.id FROM messages e WHERE e.app_id = :app_id AND e.event_id = :key)
ORDER BY m.id = :key DESC LIMIT 1;

-- name: record
-- By id or uid, an id first. Indexes: primary key, records_uid.
SELECT doc FROM records
WHERE kind = ?1 AND scope = ?2 AND (id = ?3 OR uid = ?3)
ORDER BY id = ?3 DESC LIMIT 1;
