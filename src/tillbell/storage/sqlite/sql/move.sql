-- A store that goes away: its mark, and what only it is asked for.

-- name: outgoing_move
-- At most one row.
SELECT id, target, begun_at, finished_at FROM departures LIMIT 1;

-- name: insert_outgoing_move
INSERT INTO departures (id, target, begun_at, finished_at) VALUES (?1, ?2, ?3, ?4);

-- name: delete_outgoing_move
DELETE FROM departures;

-- name: finish_outgoing_move
UPDATE departures SET finished_at = ?2 WHERE id = ?1;

-- name: move_steps_of
-- All steps of transactions, given as a JSON list of ids. Index: primary key.
SELECT t.app_id, {transition} FROM json_each(?1) wanted
CROSS JOIN transactions t ON t.id = wanted.value
CROSS JOIN transitions s ON s.transaction_id = t.id;

-- name: move_effects_of
-- Index: primary key.
SELECT t.app_id, {effect} FROM json_each(?1) wanted
CROSS JOIN transactions t ON t.id = wanted.value
CROSS JOIN effects e ON e.transaction_id = t.id;

-- name: move_read_totals
SELECT app_id, endpoint_id, hour, waiting, sending, succeeded, failed, discarded FROM totals
WHERE (app_id, endpoint_id, hour) > (?1, ?2, ?3) ORDER BY app_id, endpoint_id, hour LIMIT ?4;

-- name: move_oldest
-- What its history begins with. Indexes: primary keys, bodies_message.
SELECT (SELECT min(id) FROM deliveries), (SELECT min(message_id) FROM bodies),
       (SELECT min(id) FROM callbacks);

-- name: move_read_bodies
-- With their application, which only their messages name. Indexes: primary key, bodies_message.
SELECT m.app_id, b.message_id, b.variant, b.body, b.expires_at
FROM messages m CROSS JOIN bodies b ON b.message_id = m.id
WHERE (m.app_id, m.id) >= (?1, ?2) AND (m.app_id, m.id, b.variant) > (?1, ?2, ?3)
ORDER BY m.app_id, m.id, b.variant LIMIT ?4;

-- name: move_read_requests
-- Indexes: callback_requests_callback, primary key.
SELECT c.app_id, r.callback_id, r.request, r.is_bulk
FROM callback_requests r CROSS JOIN callbacks c ON c.id = r.callback_id
WHERE r.callback_id > ?1 ORDER BY r.callback_id LIMIT ?2;

-- name: move_read_keys
SELECT source_id, dedupe_key, callback_id, app_id, taken_at, is_open FROM callback_keys
WHERE (source_id, dedupe_key) > (?2, ?3) ORDER BY source_id, dedupe_key LIMIT ?4;

-- name: move_read_seen_items
SELECT source_id, item_key, app_id, seen_at FROM seen_items
WHERE (source_id, item_key) > (?2, ?3) ORDER BY source_id, item_key LIMIT ?4;

-- name: move_read_transitions
SELECT t.app_id, {transition}
FROM transitions s CROSS JOIN transactions t ON t.id = s.transaction_id
WHERE (s.transaction_id, s.sequence) > (?2, ?3) ORDER BY s.transaction_id, s.sequence LIMIT ?4;

-- name: move_read_effects
SELECT t.app_id, {effect} FROM effects e CROSS JOIN transactions t ON t.id = e.transaction_id
WHERE (e.transaction_id, e.kind) > (?2, ?3) ORDER BY e.transaction_id, e.kind LIMIT ?4;

-- name: move_put_inbox_requests
INSERT INTO inbox_requests
    (id, inbox_id, app_id, number, received_at, expires_at, method, size, head, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);

-- name: move_put_inbox_totals
INSERT INTO inbox_totals (inbox_id, app_id, received, dropped) VALUES (?1, ?2, ?3, ?4);
