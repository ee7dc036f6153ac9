-- name: lock_audit_chain
SELECT head_sequence, head_hash FROM audit_chain;

-- name: insert_audited_act
INSERT INTO audit_log
    (sequence, id, app_id, at, actor_id, actor_name, actor_kind, actor_role, action, target, reason,
     request_id, address, user_agent, changes, details, redaction, hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);
