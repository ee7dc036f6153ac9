-- The audit log: who did what. Each row's hash covers the row before (rules/audit_chain.py).
CREATE TABLE audit_log (
    id         text COLLATE "C" NOT NULL,
    sequence   bigint NOT NULL, -- its place in the chain, without gaps
    app_id     text COLLATE "C" NOT NULL, -- '': it belongs to no application
    at         bigint NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    actor_name text COLLATE "C" NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    actor_role text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    target     text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    request_id text COLLATE "C",
    address    text COLLATE "C",
    user_agent text COLLATE "C",
    changes    text COLLATE "C" NOT NULL, -- JSON object: member → [before, after]
    details    text COLLATE "C" NOT NULL, -- JSON object
    hash       text COLLATE "C" NOT NULL, -- '': it was written before there was a chain
    PRIMARY KEY (id, app_id)
);
CREATE UNIQUE INDEX audit_log_sequence ON audit_log (sequence, app_id);
CREATE INDEX audit_log_app ON audit_log (app_id, id);
CREATE INDEX audit_log_target ON audit_log (target, id);
CREATE INDEX audit_log_actor ON audit_log (actor_id, id);

-- What there was is kept, and is not part of the chain: it begins behind these rows.
INSERT INTO audit_log
    (id, sequence, app_id, at, actor_id, actor_name, actor_kind, actor_role, action, target, reason,
     request_id, address, user_agent, changes, details, hash)
SELECT id, row_number() OVER (ORDER BY id), app_id, at, actor, actor_name, kind, '', action, target,
       reason, request_id, address, NULL, changes, details, ''
FROM (
    SELECT id, app_id, at, actor, actor_name, action, target, '' AS reason, request_id, address,
           changes, '{}' AS details,
           CASE WHEN actor LIKE 'per!_%' ESCAPE '!' THEN 'person'
                WHEN actor = 'system' THEN 'program'
                WHEN actor = 'anonymous' THEN 'nobody' ELSE 'key' END AS kind
    FROM configuration_changes
    UNION ALL
    SELECT id, app_id, at, actor, '', action, target, reason, NULL, NULL, '{}',
           coalesce(details, '{}'),
           CASE WHEN actor LIKE 'per!_%' ESCAPE '!' THEN 'person' ELSE 'key' END
    FROM audit
) AS earlier;
DROP TABLE configuration_changes;

-- One row: the last row that was cut off the chain, and its newest one.
CREATE TABLE audit_chain (
    id              bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    anchor_sequence bigint NOT NULL,
    anchor_hash     text COLLATE "C" NOT NULL,
    head_sequence   bigint NOT NULL,
    head_hash       text COLLATE "C" NOT NULL
);
INSERT INTO audit_chain
SELECT 1, count(*), repeat('0', 64), count(*), repeat('0', 64) FROM audit_log;
