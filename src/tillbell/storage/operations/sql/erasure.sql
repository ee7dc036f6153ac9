-- What names a person goes out of rows that stay.

-- name: begin_erasure
INSERT INTO erasures (app_id) VALUES (?1);

-- name: end_erasure
DELETE FROM erasures WHERE app_id = ?1;

-- name: erase_audit_entry
-- Index: primary key.
UPDATE audit SET reason = ?3, details = ?4 WHERE app_id = ?1 AND id = ?2;

-- name: erase_conflict
-- Index: primary key.
UPDATE conflicts SET why = ?3, reference = ?4, resolution_reason = ?5
WHERE id = ?2 AND {no_index}app_id = ?1;

-- name: erase_callback
-- Index: primary key.
UPDATE callbacks SET why = ?3, verdict_why = ?4, dedupe_key = ?5
WHERE id = ?2 AND {no_index}app_id = ?1;

-- name: erase_dedupe_key
-- Index: primary key.
DELETE FROM callback_keys
WHERE {no_index}app_id = ?1 AND source_id = ?2 AND dedupe_key = ?3;

-- name: audit_row
-- Index: primary key.
SELECT g.sequence, g.hash FROM audit_log g WHERE g.id = ?2 AND {no_index}g.app_id = ?1;

-- name: redact_act
-- Index: primary key.
UPDATE audit_log
SET actor_name = ?3, target = ?4, reason = ?5, changes = ?6, details = ?7, redaction = ?8
WHERE id = ?2 AND {no_index}app_id = ?1;
