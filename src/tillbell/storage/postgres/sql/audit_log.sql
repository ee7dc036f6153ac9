-- name: lock_audit_chain
SELECT head_sequence, head_hash FROM audit_chain FOR UPDATE;

-- name: insert_audited_act
INSERT INTO audit_log
    (sequence, id, app_id, at, actor_id, actor_name, actor_kind, actor_role, action, target, reason,
     request_id, address, user_agent, changes, details, redaction, hash)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18
FROM unnest(
    ?1::bigint[], ?2::text[], ?3::text[], ?4::bigint[], ?5::text[], ?6::text[], ?7::text[],
    ?8::text[], ?9::text[], ?10::text[], ?11::text[], ?12::text[], ?13::text[], ?14::text[],
    ?15::text[], ?16::text[], ?17::text[], ?18::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18);

-- name: move_put_audit_chain
INSERT INTO audit_chain (id, anchor_sequence, anchor_hash, head_sequence, head_hash)
SELECT * FROM unnest(?1::bigint[], ?2::bigint[], ?3::text[], ?4::bigint[], ?5::text[])
ON CONFLICT (id) DO UPDATE SET
    anchor_sequence = excluded.anchor_sequence, anchor_hash = excluded.anchor_hash,
    head_sequence = excluded.head_sequence, head_hash = excluded.head_hash;
