-- name: dedupe_key_owners
-- Who holds these dedupe keys; `keys` is JSON: [[application, source, key], …]. Index: primary key.
SELECT k.app_id, k.source_id, k.dedupe_key, k.callback_id, k.is_open
FROM json_each(:keys) wanted
CROSS JOIN callback_keys k
    ON k.source_id = wanted.value ->> 1 AND k.dedupe_key = wanted.value ->> 2;

-- name: insert_callback
INSERT INTO callbacks
    (id, app_id, source_id, provider, received_at, method, size, trust, verdict_why, dedupe_key,
     outcome, why, duplicate_of, transaction_id, message_ids, processed_at, retry_at, hops)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);

-- name: insert_request
-- Whose it is (?1) it does not say: it is found by its callback only.
INSERT INTO callback_requests (callback_id, request, is_bulk) VALUES (?2, ?3, ?4);

-- name: put_dedupe_key
-- The new holder's key counts from now. Index: primary key.
INSERT INTO callback_keys (app_id, source_id, dedupe_key, callback_id, taken_at)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (source_id, dedupe_key) DO UPDATE SET
    callback_id = excluded.callback_id, taken_at = excluded.taken_at, is_open = 0;

-- name: replace_request
-- Whose it is (?1) a request does not say. Index: callback_requests_callback.
UPDATE callback_requests SET request = ?3 WHERE callback_id = ?2;
