-- A store that comes in: how far it is, and rows as they were.

-- name: incoming_move
-- At most one row.
SELECT id, source, begun_at, stage, last_key, copied, finished_at FROM moves LIMIT 1;

-- name: insert_incoming_move
INSERT INTO moves (id, source, begun_at, stage, last_key, copied) VALUES (?1, ?2, ?3, '', '', 0);

-- name: advance_incoming_move
-- From where it was (?2, ?3) to where it is now; nothing if somebody else moved it on.
UPDATE moves SET stage = ?4, last_key = ?5, copied = copied + ?6
WHERE id = ?1 AND stage = ?2 AND last_key = ?3 AND finished_at IS NULL
RETURNING copied;

-- name: finish_incoming_move
UPDATE moves SET finished_at = ?2 WHERE id = ?1;

-- name: move_existing_rows
-- Which tables hold anything: also a process that runs there and has done nothing yet. An hour
-- that counts nothing is what a test of the disk leaves.
SELECT 'records' WHERE EXISTS (SELECT 1 FROM records)
UNION ALL SELECT 'shop_records' WHERE EXISTS (SELECT 1 FROM shop_records)
UNION ALL SELECT 'members' WHERE EXISTS (SELECT 1 FROM members)
UNION ALL SELECT 'messages' WHERE EXISTS (SELECT 1 FROM messages)
UNION ALL SELECT 'bodies' WHERE EXISTS (SELECT 1 FROM bodies)
UNION ALL SELECT 'deliveries' WHERE EXISTS (SELECT 1 FROM deliveries)
UNION ALL SELECT 'attempts' WHERE EXISTS (SELECT 1 FROM attempts)
UNION ALL SELECT 'totals' WHERE EXISTS (SELECT 1 FROM totals WHERE app_id <> '')
UNION ALL SELECT 'idempotency' WHERE EXISTS (SELECT 1 FROM idempotency)
UNION ALL SELECT 'callbacks' WHERE EXISTS (SELECT 1 FROM callbacks)
UNION ALL SELECT 'callback_requests' WHERE EXISTS (SELECT 1 FROM callback_requests)
UNION ALL SELECT 'callback_keys' WHERE EXISTS (SELECT 1 FROM callback_keys)
UNION ALL SELECT 'callback_waits' WHERE EXISTS (SELECT 1 FROM callback_waits)
UNION ALL SELECT 'seen_items' WHERE EXISTS (SELECT 1 FROM seen_items)
UNION ALL SELECT 'payment_attempts' WHERE EXISTS (SELECT 1 FROM payment_attempts)
UNION ALL SELECT 'transactions' WHERE EXISTS (SELECT 1 FROM transactions)
UNION ALL SELECT 'conflicts' WHERE EXISTS (SELECT 1 FROM conflicts)
UNION ALL SELECT 'audit' WHERE EXISTS (SELECT 1 FROM audit)
UNION ALL SELECT 'people' WHERE EXISTS (SELECT 1 FROM people)
UNION ALL SELECT 'one_time_links' WHERE EXISTS (SELECT 1 FROM one_time_links)
UNION ALL SELECT 'rollup_minutes' WHERE EXISTS (SELECT 1 FROM rollup_minutes)
UNION ALL SELECT 'rollup_hours' WHERE EXISTS (SELECT 1 FROM rollup_hours)
UNION ALL SELECT 'markers' WHERE EXISTS (SELECT 1 FROM markers)
UNION ALL SELECT 'inbox_requests' WHERE EXISTS (SELECT 1 FROM inbox_requests);

-- name: move_put_records
INSERT INTO records (kind, scope, id, uid, doc)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bytea[]);

-- name: move_put_shop_records
INSERT INTO shop_records
    (kind, app_id, id, uid, updated_at, number, status, payment_status, customer_id, email, order_id,
     doc)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::text[], ?7::text[],
    ?8::text[], ?9::text[], ?10::text[], ?11::text[], ?12::bytea[]);

-- name: move_put_deliveries
-- As they are, also those that another of their order key holds. ?4 is part of the id.
INSERT INTO deliveries
    (id, app_id, endpoint_id, variant, state, due_at, created_at, attempts, tries, token, trigger,
     started_at, order_key, held)
SELECT c1, c2, c3, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::text[], ?7::bigint[],
    ?8::bigint[], ?9::bigint[], ?10::bigint[], ?11::bigint[], ?12::text[], ?13::bigint[],
    ?14::text[], ?15::bigint[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15);

-- name: move_put_idempotency
INSERT INTO idempotency (key, fingerprint, answer, created_at)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::bytea[], ?4::bigint[]);

-- name: move_put_keys
INSERT INTO callback_keys (source_id, dedupe_key, callback_id, app_id, taken_at, is_open)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bigint[]);

-- name: move_put_waits
INSERT INTO callback_waits (app_id, reference, callback_id)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[]);

-- name: move_put_people
INSERT INTO people
    (id, email, name, password_hash, role, created_at, last_sign_in_at, disabled_at, app_roles,
     totp_secret, totp_step, recovery_codes, oidc_id, version)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::bigint[], ?7::bigint[],
    ?8::bigint[], ?9::text[], ?10::text[], ?11::bigint[], ?12::text[], ?13::text[],
    ?14::bigint[]);

-- name: move_put_sessions
INSERT INTO sessions
    (id, person_id, created_at, last_used_at, expires_at, idle_expires_at, address, user_agent,
     revoked_at)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[], ?5::bigint[], ?6::bigint[], ?7::text[],
    ?8::text[], ?9::bigint[]);

-- name: move_put_one_time_links
INSERT INTO one_time_links (id, purpose, person_id, created_at, expires_at)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[]);

-- name: move_put_inbox_requests
INSERT INTO inbox_requests
    (id, inbox_id, app_id, number, received_at, expires_at, method, size, head, body)
SELECT * FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[], ?6::bigint[], ?7::text[],
    ?8::bigint[], ?9::bytea[], ?10::bytea[]);

-- name: move_put_inbox_totals
INSERT INTO inbox_totals (inbox_id, app_id, received, dropped)
SELECT * FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[]);

-- name: move_read_totals
-- The sums of all shards.
SELECT app_id, endpoint_id, hour, sum(waiting)::bigint, sum(sending)::bigint,
       sum(succeeded)::bigint, sum(failed)::bigint, sum(discarded)::bigint
FROM totals
WHERE (app_id, endpoint_id, hour) > (?1, ?2, ?3)
GROUP BY app_id, endpoint_id, hour ORDER BY app_id, endpoint_id, hour LIMIT ?4;

-- name: move_analyze
-- What the planner knows of tables that were empty a moment ago.
ANALYZE records, shop_records, messages, bodies, deliveries, attempts, totals, idempotency,
    callbacks, callback_requests, callback_keys, callback_waits, seen_items, payment_attempts,
    transactions, transitions, effects, conflicts, audit, people, sessions, one_time_links, rollup_minutes,
    rollup_hours, markers, inbox_requests, inbox_totals;

-- name: move_read_bodies
SELECT app_id, message_id, variant, body, expires_at FROM bodies
WHERE (message_id, variant, app_id) > (?2, ?3, ?1) ORDER BY message_id, variant, app_id LIMIT ?4;

-- name: move_read_requests
SELECT app_id, callback_id, request, is_bulk FROM callback_requests
WHERE callback_id > ?1 ORDER BY callback_id LIMIT ?2;

-- name: move_read_keys
SELECT source_id, dedupe_key, callback_id, app_id, taken_at, is_open FROM callback_keys
WHERE (app_id, source_id, dedupe_key) > (?1, ?2, ?3)
ORDER BY app_id, source_id, dedupe_key LIMIT ?4;

-- name: move_read_seen_items
SELECT source_id, item_key, app_id, seen_at FROM seen_items
WHERE (app_id, source_id, item_key) > (?1, ?2, ?3)
ORDER BY app_id, source_id, item_key LIMIT ?4;

-- name: move_read_transitions
SELECT s.app_id, {transition} FROM transitions s
WHERE (s.app_id, s.transaction_id, s.sequence) > (?1, ?2, ?3)
ORDER BY s.app_id, s.transaction_id, s.sequence LIMIT ?4;

-- name: move_read_effects
SELECT e.app_id, {effect} FROM effects e
WHERE (e.app_id, e.transaction_id, e.kind) > (?1, ?2, ?3)
ORDER BY e.app_id, e.transaction_id, e.kind LIMIT ?4;
