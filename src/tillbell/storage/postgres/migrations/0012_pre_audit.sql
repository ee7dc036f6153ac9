-- Who changed the configuration, or read a secret. It is kept for as long as its retention says.
CREATE TABLE configuration_changes (
    id         text COLLATE "C" NOT NULL,
    app_id     text COLLATE "C" NOT NULL, -- '': it belongs to no application
    at         bigint NOT NULL,
    actor      text COLLATE "C" NOT NULL,
    actor_name text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    target     text COLLATE "C" NOT NULL,
    request_id text COLLATE "C",
    address    text COLLATE "C",
    changes    text COLLATE "C" NOT NULL, -- JSON object: member → [before, after]
    PRIMARY KEY (id, app_id)
);
CREATE INDEX configuration_changes_app ON configuration_changes (app_id, id);
CREATE INDEX configuration_changes_target ON configuration_changes (target, id);
CREATE INDEX audit_id ON audit (id);
