-- Processes that share the database.

CREATE TABLE members (
    id      text COLLATE "C" NOT NULL PRIMARY KEY,
    role    text COLLATE "C" NOT NULL,
    sends   smallint NOT NULL,     -- 1: it owns lanes
    seen_at bigint NOT NULL
);

-- One row: who does what only one may do, and in which term.
CREATE TABLE leadership (
    only_one smallint NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_one = 1),
    holder   text COLLATE "C" NOT NULL,
    term     bigint NOT NULL,
    until    bigint NOT NULL
);
INSERT INTO leadership (holder, term, until) VALUES ('', 0, 0);

-- Records that every process keeps in memory: what was changed, for those that did not do it.
CREATE TABLE record_changes (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint NOT NULL DEFAULT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint),
    kind   text COLLATE "C" NOT NULL,
    scope  text COLLATE "C" NOT NULL,
    id     text COLLATE "C" NOT NULL
);
CREATE INDEX record_changes_age ON record_changes (at);

CREATE FUNCTION records_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO record_changes (kind, scope, id) VALUES (OLD.kind, OLD.scope, OLD.id);
    ELSE
        INSERT INTO record_changes (kind, scope, id) VALUES (NEW.kind, NEW.scope, NEW.id);
    END IF;
    PERFORM pg_notify('tillbell', 'records');
    RETURN NULL;
END $$;
CREATE TRIGGER records_changed AFTER INSERT OR UPDATE ON records FOR EACH ROW
WHEN (NEW.kind IN ('Application', 'Endpoint', 'EventType', 'ApiKey', 'Source'))
EXECUTE FUNCTION records_changed();
CREATE TRIGGER records_removed AFTER DELETE ON records FOR EACH ROW
WHEN (OLD.kind IN ('Application', 'Endpoint', 'EventType', 'ApiKey', 'Source'))
EXECUTE FUNCTION records_changed();
