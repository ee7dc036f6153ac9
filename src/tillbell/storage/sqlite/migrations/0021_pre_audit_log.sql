-- The audit log: who did what. Each row's hash covers the row before (rules/audit_chain.py).
CREATE TABLE audit_log (
    id         TEXT NOT NULL PRIMARY KEY,
    sequence   INTEGER NOT NULL,         -- its place in the chain, without gaps
    app_id     TEXT NOT NULL,            -- '': it belongs to no application
    at         INTEGER NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_role TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    request_id TEXT,
    address    TEXT,
    user_agent TEXT,
    changes    TEXT NOT NULL,            -- JSON object: member → [before, after]
    details    TEXT NOT NULL,            -- JSON object
    hash       TEXT NOT NULL             -- '': it was written before there was a chain
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_log_sequence ON audit_log (sequence);
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
);
DROP TABLE configuration_changes;

-- One row: the last row that was cut off the chain, and its newest one.
CREATE TABLE audit_chain (
    id              INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    anchor_sequence INTEGER NOT NULL,
    anchor_hash     TEXT NOT NULL,
    head_sequence   INTEGER NOT NULL,
    head_hash       TEXT NOT NULL
);
INSERT INTO audit_chain
SELECT 1, count(*), printf('%064d', 0), count(*), printf('%064d', 0) FROM audit_log;
