-- name: key_holders
-- Who holds these dedupe keys; `pairs` is JSON: [[source, key], …]. Index: primary key.
SELECT k.source_id, k.dedupe_key, k.callback_id, k.is_open
FROM json_each(:pairs) pair
CROSS JOIN callback_keys k ON k.source_id = pair.value ->> 0 AND k.dedupe_key = pair.value ->> 1;

-- name: insert_callback
INSERT INTO callbacks
    (id, app_id, source_id, provider, received_at, method, size, trust, verdict_why, dedupe_key,
     outcome, why, duplicate_of, transaction_id, message_ids, processed_at, retry_at, hops)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);

-- name: insert_request
INSERT INTO callback_requests (callback_id, request, is_bulk) VALUES (?1, ?2, ?3);

-- name: hold_key
-- The new holder's key counts from now. Index: primary key.
INSERT INTO callback_keys (source_id, dedupe_key, callback_id, app_id, taken_at)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (source_id, dedupe_key) DO UPDATE SET
    callback_id = excluded.callback_id, taken_at = excluded.taken_at, is_open = 0;

-- name: stop_waiting
-- A newer copy has taken its place: it is not looked at again by itself. Index: primary key.
UPDATE callbacks SET retry_at = NULL WHERE id = ?1 AND retry_at IS NOT NULL;

-- name: end_waits
-- Index: callback_waits_callback.
DELETE FROM callback_waits WHERE callback_id = ?1;

-- name: reopen_callback
-- As it was when it came. Index: primary key.
UPDATE callbacks
SET outcome = NULL, why = '', duplicate_of = NULL, transaction_id = NULL, message_ids = NULL,
    processed_at = NULL, retry_at = NULL
WHERE id = ?1 AND outcome IS NOT NULL
RETURNING source_id, dedupe_key;

-- name: open_key
-- Whether the next copy may count in its holder's place. Index: primary key.
UPDATE callback_keys SET is_open = ?4
WHERE source_id = ?1 AND dedupe_key = ?2 AND callback_id = ?3;
