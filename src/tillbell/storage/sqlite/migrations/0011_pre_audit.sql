-- Who changed the configuration, or read a secret. It is kept for as long as its retention says.
CREATE TABLE configuration_changes (
    id         TEXT NOT NULL PRIMARY KEY,
    app_id     TEXT NOT NULL,            -- '': it belongs to no application
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    request_id TEXT,
    address    TEXT,
    changes    TEXT NOT NULL             -- JSON object: member → [before, after]
) WITHOUT ROWID;
CREATE INDEX configuration_changes_app ON configuration_changes (app_id, id);
CREATE INDEX configuration_changes_target ON configuration_changes (target, id);
CREATE INDEX audit_id ON audit (id);
