-- name: insert_configuration_change
INSERT INTO configuration_changes
    (id, app_id, at, actor, actor_name, action, target, request_id, address, changes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
