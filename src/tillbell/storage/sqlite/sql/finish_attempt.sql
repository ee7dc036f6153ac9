-- name: finish_attempt
-- Only the holder of the present token, and only once. Index: primary key.
UPDATE deliveries
SET state = to_.column4, due_at = iif(to_.column4 = 'waiting', to_.column5, due_at),
    started_at = NULL
FROM (VALUES (?1, ?2, ?3, ?4, ?5)) AS to_
WHERE id = to_.column2 AND app_id = to_.column1 AND token = to_.column3 AND state = 'sending';

-- name: insert_attempt
-- Bound to an Attempt as it is; ?2 and ?5 are parts of its id.
INSERT INTO attempts
    (id, app_id, endpoint_id, event_type, number, trigger, result, started_at, duration_us, url,
     status_code, error, detail, response, sent_headers, answer_head, phases)
VALUES (?1, ?3, ?4, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19);

-- name: resendable
-- Indexes: primary key, bodies_message.
SELECT id, endpoint_id, state, EXISTS (
    SELECT 1 FROM bodies b WHERE b.message_id = d.message_id AND b.variant = d.variant)
FROM deliveries d WHERE id = ?2 AND app_id = ?1;

-- name: resend
-- What waits keeps its run and its place; what had ended begins a new run.
UPDATE deliveries
SET tries = iif(state = 'waiting', tries, 0),
    due_at = iif(state = 'waiting', min(due_at, ?3), ?3),
    trigger = ?4, state = 'waiting'
WHERE id = ?2 AND app_id = ?1;

-- name: cancelable
-- A delivery that waits. Indexes: primary keys.
SELECT {delivery}, m.event_type
FROM deliveries d CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id
WHERE d.id = ?2 AND d.app_id = ?1 AND d.state = 'waiting';

-- name: discardable
-- Open deliveries of an endpoint, except those under a running lease.
-- Indexes: deliveries_waiting, deliveries_leased.
SELECT {delivery}, m.event_type
FROM (
    SELECT id FROM deliveries WHERE endpoint_id = ?2 AND app_id = ?1 AND state = 'waiting'
    UNION ALL
    SELECT id FROM deliveries
    WHERE endpoint_id = ?2 AND app_id = ?1 AND state = 'sending' AND due_at <= ?3
    LIMIT ?4) open
CROSS JOIN deliveries d ON d.id = open.id
CROSS JOIN messages m ON m.app_id = d.app_id AND m.id = d.message_id;
