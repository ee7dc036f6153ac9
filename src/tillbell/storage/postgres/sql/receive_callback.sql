-- name: dedupe_key_owners
-- Who holds these dedupe keys; `keys` is JSON: [[application, source, key], …]. Index: primary key.
SELECT k.app_id, k.source_id, k.dedupe_key, k.callback_id, k.is_open
FROM jsonb_array_elements(:keys::jsonb) AS wanted (value)
JOIN callback_keys k
    ON k.app_id = wanted.value ->> 0 AND k.source_id = wanted.value ->> 1
   AND k.dedupe_key = wanted.value ->> 2;

-- name: insert_callback
INSERT INTO callbacks
    (id, app_id, source_id, provider, received_at, method, size, trust, verdict_why, dedupe_key,
    outcome, why, duplicate_of, transaction_id, message_ids, processed_at, retry_at, hops)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::text[], ?7::bigint[],
    ?8::bigint[], ?9::text[], ?10::text[], ?11::text[], ?12::text[], ?13::text[], ?14::text[],
    ?15::text[], ?16::bigint[], ?17::bigint[], ?18::bigint[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18);

-- name: insert_request
INSERT INTO callback_requests
    (app_id, callback_id, request, is_bulk)
SELECT c1, c2, c3, c4
FROM unnest(
    ?1::text[], ?2::text[], ?3::bytea[], ?4::bigint[])
    AS r (c1, c2, c3, c4);

-- name: put_dedupe_key
-- The new holder's key counts from now. Index: primary key.
INSERT INTO callback_keys
    (app_id, source_id, dedupe_key, callback_id, taken_at)
SELECT c1, c2, c3, c4, c5
FROM unnest(
    ?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[])
    AS r (c1, c2, c3, c4, c5)
ON CONFLICT (app_id, source_id, dedupe_key) DO UPDATE SET
    callback_id = excluded.callback_id, taken_at = excluded.taken_at, is_open = 0;

-- name: replace_request
-- Index: primary key.
UPDATE callback_requests SET request = ?3 WHERE callback_id = ?2 AND app_id = ?1;
