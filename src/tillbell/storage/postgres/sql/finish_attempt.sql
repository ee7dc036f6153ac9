-- name: finish_attempt
-- Only the holder of the present token, and only once. Index: primary key.
UPDATE deliveries
SET state = to_.state,
    due_at = CASE WHEN to_.state = 'waiting' THEN to_.due_at ELSE deliveries.due_at END,
    started_at = NULL
FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::text[], ?5::bigint[])
    AS to_ (app_id, id, token, state, due_at)
WHERE deliveries.id = to_.id AND deliveries.app_id = to_.app_id
  AND deliveries.token = to_.token AND deliveries.state = 'sending';

-- name: insert_attempt
-- Bound to an Attempt as it is; ?2 and ?5 are parts of its id.
INSERT INTO attempts
    (id, app_id, endpoint_id, event_type, number, trigger, result, started_at, duration_us, url,
     status_code, error, detail, response, sent_headers, answer_head, phases)
SELECT c1, c3, c4, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::text[], ?7::bigint[],
    ?8::text[], ?9::text[], ?10::bigint[], ?11::bigint[], ?12::text[], ?13::bigint[], ?14::text[],
    ?15::text[], ?16::bytea[], ?17::text[], ?18::bytea[], ?19::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19);

-- name: resendable
-- Index: primary keys.
SELECT id, endpoint_id, state, EXISTS (
    SELECT 1 FROM bodies b
    WHERE b.app_id = d.app_id AND b.message_id = {delivery_message} AND b.variant = d.variant)
FROM deliveries d WHERE id = ?2 AND app_id = ?1 FOR UPDATE OF d;

-- name: resend
-- What waits keeps its run and its place; what had ended begins a new run.
UPDATE deliveries
SET tries = CASE WHEN state = 'waiting' THEN tries ELSE 0 END,
    due_at = CASE WHEN state = 'waiting' THEN least(due_at, ?3::bigint) ELSE ?3::bigint END,
    trigger = ?4, state = 'waiting'
WHERE id = ?2 AND app_id = ?1;

-- name: cancelable
-- A delivery that waits. Indexes: primary keys.
SELECT {delivery}, m.event_type
FROM deliveries d {message_of_delivery}
WHERE d.id = ?2 AND d.app_id = ?1 AND d.state = 'waiting' FOR UPDATE OF d;

-- name: discardable
-- Open deliveries of an endpoint, except those under a running lease or in other hands.
-- Indexes: deliveries_waiting, deliveries_leased.
SELECT {delivery}, m.event_type
FROM deliveries d {message_of_delivery}
WHERE d.endpoint_id = ?2 AND d.app_id = ?1
  AND (d.state = 'waiting' OR d.state = 'sending' AND d.due_at <= ?3)
LIMIT ?4
FOR UPDATE OF d SKIP LOCKED;
