-- name: put_record
INSERT INTO records (kind, scope, id, uid, doc) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (kind, scope, id) DO UPDATE SET uid = excluded.uid, doc = excluded.doc;

-- name: record_id_of_uid
-- Another record with that uid. Index: records_uid.
SELECT id FROM records WHERE kind = ?1 AND scope = ?2 AND uid = ?3 AND id <> ?4;

-- name: record_of_any_scope
-- Index: records_id.
SELECT doc FROM records WHERE kind = ?1 AND id = ?2;

-- name: records_in_scope
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: primary key.
SELECT doc FROM records
WHERE kind = :kind AND scope = :scope AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: records_of_kind
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- Index: records_id.
SELECT doc FROM records
WHERE kind = :kind AND id > :low AND id < :high
ORDER BY id {order} LIMIT :limit;

-- name: delete_record
DELETE FROM records WHERE kind = ?1 AND scope = ?2 AND id = ?3;

-- name: delete_scope
-- Index: records_scope.
DELETE FROM records WHERE scope = ?1;
