-- predicate: holds
instr({field}, :needle) > 0

-- fragment: payload
(SELECT b.body FROM bodies b WHERE b.message_id = m.id AND b.variant = '')

-- fragment: last_status_code
(SELECT x.status_code FROM attempts x WHERE x.id > 'atmpt_' || substr(d.id, 5) AND x.id < 'atmpt_' || substr(d.id, 5) || '~' ORDER BY x.id DESC LIMIT 1)

-- fragment: is_of_reference
t.id IN (
    SELECT id FROM transactions WHERE app_id = :app_id AND uid = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND order_id = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND merchant_reference = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND psp_transaction_id = :walk)

-- name: filtered_deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: {with_message} WHERE
-- form {walk} failed: INDEXED BY deliveries_failed_id {with_message} WHERE d.state = 'failed' AND
-- form {walk} failed_of_app: INDEXED BY deliveries_failed_app {with_message} WHERE d.app_id = :app_id AND d.state = 'failed' AND
-- form {walk} of_endpoint: INDEXED BY deliveries_endpoint {with_message} WHERE d.endpoint_id = :walk AND
-- form {walk} failed_of_endpoint: INDEXED BY deliveries_failed {with_message} WHERE d.endpoint_id = :walk AND d.state = 'failed' AND
-- Indexes: primary key, deliveries_failed_id, deliveries_failed_app, deliveries_endpoint,
-- deliveries_failed.
SELECT {delivery}, {message} FROM deliveries d {walk} d.id > :low AND d.id < :high AND {where}
ORDER BY d.id {order} LIMIT :limit;

-- name: filtered_deliveries_end
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: WHERE
-- form {walk} failed: INDEXED BY deliveries_failed_id WHERE d.state = 'failed' AND
-- form {walk} failed_of_app: INDEXED BY deliveries_failed_app WHERE d.app_id = :app_id AND d.state = 'failed' AND
-- form {walk} of_endpoint: INDEXED BY deliveries_endpoint WHERE d.endpoint_id = :walk AND
-- form {walk} failed_of_endpoint: INDEXED BY deliveries_failed WHERE d.endpoint_id = :walk AND d.state = 'failed' AND
-- Indexes: the same.
SELECT d.id FROM deliveries d {walk} d.id > :low AND d.id < :high
ORDER BY d.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_deliveries_of_app
-- form {rows} rows: {delivery}, {message}
-- form {rows} end: d.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- One message after the other. Index: primary keys.
SELECT {rows}
FROM messages m
CROSS JOIN deliveries d ON d.id > 'dlv_' || substr(m.id, 5)
                       AND d.id < 'dlv_' || substr(m.id, 5) || '~'
WHERE m.app_id = :app_id AND m.id >= :first AND m.id <= :last
  AND +d.id > :low AND +d.id < :high AND d.app_id = m.app_id AND {where}
ORDER BY m.id {order}, d.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_attempts
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: INDEXED BY attempts_started {with_message_of_attempt} WHERE
-- form {walk} of_endpoint: INDEXED BY attempts_endpoint {with_message_of_attempt} WHERE a.endpoint_id = :walk AND a.app_id = :app_id AND
-- By their start. Indexes: attempts_started, attempts_endpoint, primary key.
SELECT {attempt}
FROM attempts a {walk} {between_starts} AND {where}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: filtered_attempts_end
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: INDEXED BY attempts_started WHERE
-- form {walk} of_endpoint: INDEXED BY attempts_endpoint WHERE a.endpoint_id = :walk AND a.app_id = :app_id AND
-- Indexes: attempts_started, attempts_endpoint.
SELECT a.started_at, a.id
FROM attempts a {walk} {between_starts}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_attempts_of_id
-- form {rows} rows: {attempt}
-- form {rows} end: a.started_at, a.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Those of a message or delivery are few: they are sorted. Index: primary keys.
SELECT {rows}
FROM attempts a {with_message_of_attempt}
WHERE a.id >= :walk AND a.id < :walk || '~'
  AND (+a.started_at, +a.id) > (:low_at, :low) AND (+a.started_at, +a.id) < (:high_at, :high)
  AND {where}
ORDER BY +a.started_at {order}, a.id {order} LIMIT :limit OFFSET :skip;

-- fragment: between_starts
(a.started_at, a.id) > (:low_at, :low) AND (a.started_at, a.id) < (:high_at, :high)

-- fragment: with_message_of_attempt
CROSS JOIN messages m ON m.app_id = a.app_id AND m.id = a.message_id
