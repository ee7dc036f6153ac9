-- predicate: holds
position(CAST(:needle AS bytea) IN {field}) > 0

-- fragment: payload
(SELECT b.body FROM bodies b WHERE b.app_id = m.app_id AND b.message_id = m.id AND b.variant = '')

-- fragment: last_status_code
(SELECT x.status_code FROM attempts x WHERE x.app_id = d.app_id AND x.id > 'atmpt_' || substr(d.id, 5) AND x.id < 'atmpt_' || substr(d.id, 5) || '~' ORDER BY x.id DESC LIMIT 1)

-- fragment: is_of_reference
t.id = ANY (ARRAY(
    SELECT id FROM transactions WHERE app_id = :app_id AND uid = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND order_id = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND merchant_reference = :walk
    UNION ALL SELECT id FROM transactions WHERE app_id = :app_id AND psp_transaction_id = :walk))

-- A walk stands apart (OFFSET 0): what is joined follows its order.

-- name: filtered_deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: true
-- form {walk} failed: state = 'failed'
-- form {walk} failed_of_app: app_id = :app_id AND state = 'failed'
-- form {walk} of_endpoint: endpoint_id = :walk
-- form {walk} failed_of_endpoint: endpoint_id = :walk AND state = 'failed'
-- Indexes: primary keys, deliveries_failed_id, deliveries_failed_app, deliveries_endpoint,
-- deliveries_failed.
SELECT {delivery}, {message}
FROM (SELECT * FROM deliveries WHERE {walk} AND id > :low AND id < :high
      ORDER BY id {order} OFFSET 0) d {message_of_delivery}
WHERE {where} ORDER BY d.id {order} LIMIT :limit;

-- name: filtered_deliveries_end
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: true
-- form {walk} failed: state = 'failed'
-- form {walk} failed_of_app: app_id = :app_id AND state = 'failed'
-- form {walk} of_endpoint: endpoint_id = :walk
-- form {walk} failed_of_endpoint: endpoint_id = :walk AND state = 'failed'
-- Indexes: the same.
SELECT id FROM deliveries WHERE {walk} AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_deliveries_of_app
-- form {rows} rows: {delivery}, {message}
-- form {rows} end: d.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- One message after the other (OFFSET keeps it so). Index: primary keys; see deliveries_of_app.
SELECT {rows}
FROM messages m
CROSS JOIN LATERAL (
    SELECT * FROM deliveries WHERE app_id = m.app_id
    AND id > 'dlv_' || substr(m.id, 5) AND id < 'dlv_' || substr(m.id, 5) || '~'
    AND (id, app_id) > ('dlv_' || substr(m.id, 5), '') OFFSET 0) d
WHERE m.app_id = :app_id AND m.id >= :first AND m.id <= :last
  AND d.id > :low AND d.id < :high AND {where}
ORDER BY m.id {order}, d.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_attempts
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: WHERE
-- form {walk} of_endpoint: WHERE a.endpoint_id = :walk AND a.app_id = :app_id AND
-- By their start. Indexes: attempts_started, attempts_endpoint, primary keys.
SELECT {attempt}
FROM (SELECT * FROM attempts a {walk} {between_starts}
      ORDER BY started_at {order}, id {order} OFFSET 0) a {message_of_attempt}
WHERE {where} ORDER BY a.started_at {order}, a.id {order} LIMIT :limit;

-- name: filtered_attempts_end
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: WHERE
-- form {walk} of_endpoint: WHERE a.endpoint_id = :walk AND a.app_id = :app_id AND
-- Indexes: attempts_started, attempts_endpoint.
SELECT a.started_at, a.id
FROM attempts a {walk} {between_starts}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_attempts_of_id
-- form {rows} rows: {attempt}
-- form {rows} end: a.started_at, a.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Those of a message or delivery are few: they are sorted (OFFSET keeps it so). Index: primary keys.
SELECT {rows}
FROM (SELECT * FROM attempts WHERE id >= CAST(:walk AS text) AND id < CAST(:walk AS text) || '~'
      OFFSET 0) a {message_of_attempt}
WHERE {between_starts} AND {where}
ORDER BY a.started_at {order}, a.id {order} LIMIT :limit OFFSET :skip;

-- fragment: between_starts
(a.started_at, a.id) > (CAST(:low_at AS bigint), CAST(:low AS text)) AND (a.started_at, a.id) < (CAST(:high_at AS bigint), CAST(:high AS text))
