-- fragment: configuration_change
g.id, g.app_id, g.at, g.actor, g.actor_name, g.action, g.target, g.request_id, g.address, g.changes

-- name: configuration_changes
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} everywhere: g.id > :low
-- form {by} by_app: g.app_id = :app_id
-- form {by} by_target: g.target = :target
-- Indexes: primary key, configuration_changes_app, configuration_changes_target.
SELECT {configuration_change} FROM configuration_changes g
WHERE {by} AND g.id > :low AND g.id < :high
  AND (CAST(:app_id AS TEXT) IS NULL OR g.app_id = :app_id)
  AND (CAST(:target AS TEXT) IS NULL OR g.target = :target)
ORDER BY g.id {order} LIMIT :limit;

-- name: audit_log
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {by} everywhere: u.id > :low
-- form {by} by_app: u.app_id = :app_id
-- form {by} by_target: u.target = :target
-- Indexes: audit_id, primary key, audit_target.
SELECT {audit_entry} FROM audit u
WHERE {by} AND u.id > :low AND u.id < :high
  AND (CAST(:app_id AS TEXT) IS NULL OR u.app_id = :app_id)
  AND (CAST(:target AS TEXT) IS NULL OR u.target = :target)
ORDER BY u.id {order} LIMIT :limit;

-- name: delete_configuration_changes
-- Index: primary key.
DELETE FROM configuration_changes WHERE id IN (
    SELECT id FROM configuration_changes WHERE id < ?1 ORDER BY id LIMIT ?2);

-- name: move_read_configuration_changes
SELECT {configuration_change} FROM configuration_changes g
WHERE g.id > ?1 ORDER BY g.id LIMIT ?2;
