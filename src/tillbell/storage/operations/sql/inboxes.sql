-- Requests to inboxes. Columns are in the order of the record's fields (model/inboxes.py).

-- fragment: inbox_request
inbox_requests.id, inbox_requests.inbox_id, inbox_requests.app_id, inbox_requests.number,
inbox_requests.received_at, inbox_requests.expires_at, inbox_requests.method, inbox_requests.size,
inbox_requests.head

-- name: count_inbox_request
-- Index: primary key.
INSERT INTO inbox_totals (inbox_id, app_id, received, dropped) VALUES (?1, ?2, 1, 0)
ON CONFLICT (inbox_id) DO UPDATE SET received = inbox_totals.received + 1
RETURNING received;

-- name: count_dropped_requests
-- Index: primary key.
UPDATE inbox_totals SET dropped = dropped + ?2 WHERE inbox_id = ?1;

-- name: insert_inbox_request
INSERT INTO inbox_requests
    (id, inbox_id, app_id, number, received_at, expires_at, method, size, head, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);

-- name: drop_inbox_requests
-- Those before the oldest number that stays, and those that make it too many bytes with all newer
-- ones. Index: primary key.
DELETE FROM inbox_requests WHERE id IN (
    SELECT older.id FROM (
        SELECT id, number, SUM(size) OVER (ORDER BY id DESC) AS bytes FROM inbox_requests
        WHERE inbox_requests.id > :low AND inbox_requests.id < :id) older
    WHERE older.number < :oldest OR older.bytes > :bytes_max)
RETURNING id;

-- name: inbox_requests
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT {inbox_request}, CASE WHEN inbox_requests.size <= :body_max THEN inbox_requests.body END
FROM inbox_requests
WHERE inbox_requests.id > :low AND inbox_requests.id < :high
  AND inbox_requests.received_at >= :since AND inbox_requests.received_at < :until
ORDER BY inbox_requests.id {order} LIMIT :limit;

-- name: inbox_request
-- Index: primary key.
SELECT {inbox_request}, inbox_requests.body FROM inbox_requests
WHERE inbox_requests.id = ?1 AND inbox_requests.inbox_id = ?2;

-- name: inbox_totals
-- Index: primary key.
SELECT received, dropped FROM inbox_totals WHERE inbox_id = ?1;

-- name: clear_inbox
-- Index: primary key.
DELETE FROM inbox_requests WHERE id > ?1 AND id < ?2 RETURNING id;

-- name: delete_inbox_request
-- Index: primary key.
DELETE FROM inbox_requests WHERE id = ?1 AND inbox_id = ?2 RETURNING id;

-- name: remove_inbox_totals
-- Index: primary key.
DELETE FROM inbox_totals WHERE inbox_id = ?1;

-- name: remove_inbox_requests
-- Index: inbox_requests_app.
DELETE FROM inbox_requests WHERE app_id = ?1;

-- name: remove_totals_of_inboxes
-- Index: inbox_totals_app.
DELETE FROM inbox_totals WHERE app_id = ?1;

-- name: sealed_inbox_requests
-- Index: primary key.
SELECT id, inbox_id, received_at, head, body FROM inbox_requests
WHERE id > ?1 ORDER BY id LIMIT ?2;

-- name: replace_inbox_request
-- Index: primary key.
UPDATE inbox_requests SET head = ?2, body = ?3 WHERE id = ?1;

-- name: purge_inbox_requests
-- Index: inbox_requests_expiry.
DELETE FROM inbox_requests WHERE id IN (
    SELECT id FROM inbox_requests WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
RETURNING id;

-- name: move_read_inbox_requests
-- Index: primary key.
SELECT {inbox_request}, inbox_requests.body FROM inbox_requests
WHERE inbox_requests.id > ?1 ORDER BY inbox_requests.id LIMIT ?2;

-- name: move_read_inbox_totals
-- Index: primary key.
SELECT inbox_id, app_id, received, dropped FROM inbox_totals
WHERE inbox_id > ?1 ORDER BY inbox_id LIMIT ?2;
