-- name: messages
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {message} FROM messages m
WHERE m.app_id = :app_id AND m.id > :low AND m.id < :high AND {message_filter}
ORDER BY m.id {order} LIMIT :limit;

-- name: deliveries_of_message
-- Index: primary key.
SELECT {delivery} FROM deliveries d
WHERE d.id > :low AND d.id < :high AND d.app_id = :app_id ORDER BY d.id;

-- name: by_state
-- How many deliveries of an endpoint are in which state. Index: deliveries_endpoint.
SELECT d.state, count(*) FROM deliveries d
WHERE d.endpoint_id = :endpoint_id AND d.id >= :low AND d.id < :high AND d.app_id = :app_id
GROUP BY d.state;

-- name: attempt
-- Index: primary key.
SELECT {attempt} FROM attempts a WHERE a.id = :id AND a.app_id = :app_id;

-- name: messages_with_sent_flag
-- Index: primary keys.
SELECT {message}, EXISTS (
    SELECT 1 FROM deliveries d
    WHERE d.app_id = m.app_id
      AND d.id > 'dlv_' || substr(m.id, 5) || :endpoint_tail
      AND d.id < 'dlv_' || substr(m.id, 5) || :endpoint_tail || '~')
FROM messages m
WHERE m.app_id = :app_id AND m.id > :low AND m.id < :high
ORDER BY m.id LIMIT :limit;
