-- Tables and indexes of the first version.
--
-- Ids are sorted by time and continue each other (ids.py): a delivery's id begins with its
-- message's 26 characters, an attempt's with its delivery's. So the deliveries and attempts of
-- a message are neighbours, and no index by message is needed. Ids are compared byte by byte,
-- whatever the database's language: every text is COLLATE "C".
--
-- What is written again and again (deliveries) is narrow, with room in its pages; what is wide
-- (messages, bodies, attempts) is written once.
--
-- History is cut by time, so that it goes by dropping a table: see partitions.py. What no made
-- partition takes goes into the `_default` one, so that no insert fails for want of one.
--
-- What grows can be spread over several databases by application: it holds `app_id`, and so does
-- every unique index. Where `app_id` comes last, rows are also looked for by time alone (retention).

CREATE TABLE messages (
    id          text COLLATE "C" NOT NULL,
    app_id      text COLLATE "C" NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    event_id    text COLLATE "C",
    channels    text COLLATE "C",         -- JSON list; NULL: none
    tags        text COLLATE "C",
    deliver_at  bigint,
    order_key   text COLLATE "C",
    expires_at  bigint,
    PRIMARY KEY (app_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE messages_default PARTITION OF messages DEFAULT;

-- The message an event id was published as: apart, for no index is unique across partitions.
CREATE TABLE event_ids (
    app_id      text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    message_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, event_id)
);
CREATE INDEX event_ids_message ON event_ids (message_id);

CREATE TABLE bodies (
    app_id      text COLLATE "C" NOT NULL,
    message_id  text COLLATE "C" NOT NULL,
    variant     text COLLATE "C" NOT NULL, -- '' is the payload as published
    body        bytea NOT NULL,
    expires_at  bigint,                    -- the message's own; NULL: by age
    PRIMARY KEY (message_id, variant, app_id)
) PARTITION BY RANGE (message_id);
CREATE TABLE bodies_default PARTITION OF bodies DEFAULT;
CREATE INDEX bodies_expiry ON bodies (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE deliveries (
    id          text COLLATE "C" NOT NULL,
    app_id      text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    variant     text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL
                CHECK (state IN ('waiting', 'sending', 'succeeded', 'failed', 'discarded')),
    due_at      bigint NOT NULL,           -- while sending: the end of the lease
    created_at  bigint NOT NULL,
    attempts    integer NOT NULL,
    tries       integer NOT NULL,
    token       bigint NOT NULL,
    trigger     text COLLATE "C" NOT NULL,
    started_at  bigint,                    -- of the open attempt
    order_key   text COLLATE "C",
    held        smallint NOT NULL DEFAULT 0, -- 1: another of its order key goes first
    PRIMARY KEY (id, app_id)
) PARTITION BY RANGE (id);
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id);
-- With the id: what is due at one instant, as a recovery leaves it, is not sorted at every claim.
CREATE INDEX deliveries_waiting ON deliveries (endpoint_id, held, due_at, id)
    WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON deliveries (due_at, endpoint_id) WHERE state = 'sending';
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE state = 'failed';
CREATE INDEX deliveries_ordered ON deliveries (endpoint_id, order_key, state, held, id)
    WHERE order_key IS NOT NULL;

-- Closed attempts. Those of an endpoint are found through its deliveries.
CREATE TABLE attempts (
    id          text COLLATE "C" NOT NULL,
    app_id      text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    trigger     text COLLATE "C" NOT NULL,
    result      text COLLATE "C" NOT NULL,
    started_at  bigint NOT NULL,
    duration_us bigint NOT NULL,
    url         text COLLATE "C" NOT NULL,
    status_code integer NOT NULL,
    error       text COLLATE "C" NOT NULL,
    detail      text COLLATE "C" NOT NULL,
    response    bytea NOT NULL,
    PRIMARY KEY (id, app_id)
) PARTITION BY RANGE (id);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- Deliveries by state, kept by every commit: of an endpoint, of an application (endpoint '')
-- by the hour their message was published in, and of everything ('', '') by its day. Sums of all
-- shards.
CREATE TABLE totals (
    app_id      text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    hour        bigint NOT NULL,
    shard       integer NOT NULL,
    waiting     bigint NOT NULL,
    sending     bigint NOT NULL,
    succeeded   bigint NOT NULL,
    failed      bigint NOT NULL,
    discarded   bigint NOT NULL,
    PRIMARY KEY (app_id, endpoint_id, hour, shard)
) PARTITION BY RANGE (hour);
CREATE TABLE totals_default PARTITION OF totals DEFAULT WITH (fillfactor = 50);

CREATE TABLE idempotency (
    key         text COLLATE "C" NOT NULL PRIMARY KEY,
    fingerprint text COLLATE "C" NOT NULL,
    answer      bytea NOT NULL,
    created_at  bigint NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE records (
    kind        text COLLATE "C" NOT NULL,
    scope       text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    uid         text COLLATE "C",
    doc         bytea NOT NULL,            -- the record as JSON
    PRIMARY KEY (kind, scope, id)
);
CREATE UNIQUE INDEX records_uid ON records (kind, scope, uid) WHERE uid IS NOT NULL;
CREATE INDEX records_id ON records (kind, id);
CREATE INDEX records_scope ON records (scope);

-- A store that was moved here: at most one row. Until it is finished nobody serves it.
CREATE TABLE moves (
    id          text COLLATE "C" NOT NULL PRIMARY KEY, -- as in the store that it comes from
    source      text COLLATE "C" NOT NULL,
    begun_at    bigint NOT NULL,
    stage       text COLLATE "C" NOT NULL, -- what was copied last; '' at the beginning
    last_key    text COLLATE "C" NOT NULL, -- JSON list
    copied      bigint NOT NULL,           -- rows
    finished_at bigint
);

-- A JSON list of texts as rows, under the name that SQLite has for it.
CREATE FUNCTION json_each(list text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT jsonb_array_elements_text(list::jsonb) $$;

-- ── partitions ──────────────────────────────────────────────────────────────────────────────────

-- Made apart and attached when it is ready: only the default partition is locked, and not for long.
-- What fell into that, because a clock was ahead, moves over.
CREATE FUNCTION make_partition(parent text, name text, low text, high text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    rest text := parent || '_default';
    key text := substring(pg_get_partkeydef(parent::regclass) FROM '\((.*)\)');
    settings text := array_to_string(
        (SELECT reloptions FROM pg_class WHERE oid = rest::regclass), ', ');
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, parent);
    IF settings <> '' THEN
        EXECUTE format('ALTER TABLE %I SET (%s)', name, settings);
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %2$I < %4$L RETURNING *)
         INSERT INTO %I SELECT * FROM moved', rest, key, low, high, name);
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, low, high);
END $$;

CREATE FUNCTION drop_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE %I', name);
END $$;
