-- Tables and indexes of the first version.
--
-- Ids are sorted by time and continue each other (ids.py): a delivery's id begins with its
-- message's 26 characters, an attempt's with its delivery's. So the deliveries and attempts of
-- a message are neighbours, `message_id` need not be stored, and no index by message is needed.
-- Every index by endpoint costs a page a commit for each endpoint that is busy: there are two.

CREATE TABLE messages (
    id          TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    event_type  TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    event_id    TEXT,
    channels    TEXT,                 -- JSON list; NULL: none
    tags        TEXT,
    deliver_at  INTEGER,
    order_key   TEXT,
    expires_at  INTEGER,
    PRIMARY KEY (app_id, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX messages_event_id ON messages (app_id, event_id) WHERE event_id IS NOT NULL;

-- With a rowid: long rows stay in one leaf, where WITHOUT ROWID would spill a quarter-page row.
CREATE TABLE bodies (
    message_id  TEXT NOT NULL,
    variant     TEXT NOT NULL,        -- '' is the payload as published
    body        BLOB NOT NULL,
    expires_at  INTEGER               -- the message's own; NULL: by age
);
CREATE UNIQUE INDEX bodies_message ON bodies (message_id, variant);
CREATE INDEX bodies_expiry ON bodies (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE deliveries (
    id          TEXT NOT NULL PRIMARY KEY,
    app_id      TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    message_id  TEXT GENERATED ALWAYS AS ('msg_' || substr(id, 5, 26)) VIRTUAL,
    variant     TEXT NOT NULL,
    state       TEXT NOT NULL
                CHECK (state IN ('waiting', 'sending', 'succeeded', 'failed', 'discarded')),
    due_at      INTEGER NOT NULL,     -- while sending: the end of the lease
    created_at  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    token       INTEGER NOT NULL,
    trigger     TEXT NOT NULL,
    started_at  INTEGER,              -- of the open attempt
    order_key   TEXT,
    held        INTEGER NOT NULL DEFAULT 0  -- 1: another of its order key goes first
) WITHOUT ROWID;
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id);
CREATE INDEX deliveries_waiting ON deliveries (endpoint_id, held, due_at) WHERE state = 'waiting';
-- Leases of all endpoints together: a message that is handed over and accepted at once never
-- touches a page of `deliveries_waiting`.
CREATE INDEX deliveries_leased ON deliveries (due_at, endpoint_id) WHERE state = 'sending';
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE state = 'failed';
CREATE INDEX deliveries_ordered ON deliveries (endpoint_id, order_key, state, held, id)
    WHERE order_key IS NOT NULL;

-- Closed attempts. Those of an endpoint are found through its deliveries.
CREATE TABLE attempts (
    id          TEXT NOT NULL PRIMARY KEY,
    delivery_id TEXT GENERATED ALWAYS AS ('dlv_' || substr(id, 7, 37)) VIRTUAL,
    app_id      TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    message_id  TEXT GENERATED ALWAYS AS ('msg_' || substr(id, 7, 26)) VIRTUAL,
    event_type  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    trigger     TEXT NOT NULL,
    result      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    url         TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    error       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    response    BLOB NOT NULL
) WITHOUT ROWID;

-- Deliveries by state, kept by every commit: of an endpoint, of an application (endpoint '')
-- by the hour their message was published in, and of everything ('', '', 0).
CREATE TABLE totals (
    app_id      TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    waiting     INTEGER NOT NULL,
    sending     INTEGER NOT NULL,
    succeeded   INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    discarded   INTEGER NOT NULL,
    PRIMARY KEY (app_id, endpoint_id, hour)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    key         TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer      BLOB NOT NULL,
    created_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE records (
    kind        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    id          TEXT NOT NULL,
    uid         TEXT,
    doc         BLOB NOT NULL,        -- the record as JSON
    PRIMARY KEY (kind, scope, id)
);
CREATE UNIQUE INDEX records_uid ON records (kind, scope, uid) WHERE uid IS NOT NULL;
CREATE INDEX records_id ON records (kind, id);
CREATE INDEX records_scope ON records (scope);
