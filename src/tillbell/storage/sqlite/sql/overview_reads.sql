-- name: deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary keys.
SELECT {delivery}, {message}
FROM deliveries d CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.id > :low AND d.id < :high ORDER BY d.id {order} LIMIT :limit;

-- name: failed_deliveries
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {scope} everywhere: INDEXED BY deliveries_failed_id {with_message} WHERE
-- form {scope} in_app: INDEXED BY deliveries_failed_app {with_message} WHERE d.app_id = :app_id AND
-- Indexes: deliveries_failed_id, deliveries_failed_app.
SELECT {delivery}, {message}
FROM deliveries d {scope} d.state = 'failed' AND d.id > :low AND d.id < :high
ORDER BY d.id {order} LIMIT :limit;

-- fragment: with_message
CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id

-- name: deliveries_of_app
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- One message after the other. Index: primary keys.
SELECT {delivery}, {message}
FROM messages m
CROSS JOIN deliveries d ON d.id > 'dlv_' || substr(m.id, 5)
                       AND d.id < 'dlv_' || substr(m.id, 5) || '~'
WHERE m.app_id = :app_id AND m.id >= :first_message AND m.id <= :last_message
  AND +d.id > :low AND +d.id < :high AND d.app_id = m.app_id
ORDER BY m.id {order}, d.id {order} LIMIT :limit;
