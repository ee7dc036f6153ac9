-- name: deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary keys.
SELECT {delivery}, {message}
FROM (SELECT * FROM deliveries WHERE id > :low AND id < :high
      ORDER BY id {order} LIMIT :limit) d {message_of_delivery}
ORDER BY d.id {order};

-- name: failed_deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {scope} everywhere: true
-- form {scope} in_app: app_id = :app_id
-- Indexes: deliveries_failed_id, deliveries_failed_app.
SELECT {delivery}, {message}
FROM (SELECT * FROM deliveries
      WHERE {scope} AND state = 'failed' AND id > :low AND id < :high
      ORDER BY id {order} LIMIT :limit) d {message_of_delivery}
ORDER BY d.id {order};

-- name: deliveries_of_app
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- One message after the other (OFFSET keeps it so). Index: primary keys. The pair of columns makes
-- theirs the cheapest: of a range between unknown ids the server expects a hundred times as many
-- rows, and would go through the index by endpoint, endpoint after endpoint.
SELECT {delivery}, {message}
FROM messages m
CROSS JOIN LATERAL (
    SELECT * FROM deliveries WHERE app_id = m.app_id
    AND id > 'dlv_' || substr(m.id, 5) AND id < 'dlv_' || substr(m.id, 5) || '~'
    AND (id, app_id) > ('dlv_' || substr(m.id, 5), '') OFFSET 0) d
WHERE m.app_id = :app_id AND m.id >= :first_message AND m.id <= :last_message
  AND d.id > :low AND d.id < :high
ORDER BY m.id {order}, d.id {order} LIMIT :limit;
