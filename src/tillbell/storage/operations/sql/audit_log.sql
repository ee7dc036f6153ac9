-- fragment: audited_act
g.id, g.app_id, g.at, g.actor_id, g.actor_name, g.actor_kind, g.actor_role, g.action, g.target,
g.reason, g.request_id, g.address, g.user_agent, g.changes, g.details, g.redaction

-- fields: audit
id = g.id
app = g.app_id
actor = g.actor_id
name = g.actor_name
kind = g.actor_kind
role = g.actor_role
action = g.action
target = g.target
address = g.address
request = g.request_id

-- name: filtered_audit
-- form {rows} rows: {audited_act}
-- form {rows} end: g.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: g.id > :low
-- form {walk} of_app: g.app_id = :app_id
-- form {walk} of_target: g.target = :walk
-- form {walk} of_actor: g.actor_id = :walk
-- Indexes: primary key, audit_log_app, audit_log_target, audit_log_actor.
SELECT {rows} FROM audit_log g
WHERE {walk} AND g.id > :low AND g.id < :high AND {where}
ORDER BY g.id {order} LIMIT :limit OFFSET :skip;

-- name: audit_chain
SELECT anchor_sequence, anchor_hash, head_sequence, head_hash FROM audit_chain;

-- name: advance_audit_chain
UPDATE audit_chain SET head_sequence = ?1, head_hash = ?2;

-- name: audit_rows
-- In the order of the chain. Index: audit_log_sequence.
SELECT g.sequence, {audited_act}, g.hash FROM audit_log g
WHERE g.sequence > ?1 ORDER BY g.sequence LIMIT ?2;

-- name: cut_audit_log
-- Index: audit_log_sequence.
DELETE FROM audit_log WHERE sequence <= ?1;

-- name: move_audit_anchor
UPDATE audit_chain SET anchor_sequence = ?1, anchor_hash = ?2 WHERE anchor_sequence < ?1;

-- name: move_read_audit_chain
SELECT id, anchor_sequence, anchor_hash, head_sequence, head_hash FROM audit_chain
WHERE id > ?1 ORDER BY id LIMIT ?2;
