-- name: insert_configuration_change
INSERT INTO configuration_changes
    (id, app_id, at, actor, actor_name, action, target, request_id, address, changes)
SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10
FROM unnest(
    ?1::text[], ?2::text[], ?3::bigint[], ?4::text[], ?5::text[], ?6::text[], ?7::text[],
    ?8::text[], ?9::text[], ?10::text[])
    AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10);
