-- What is counted minute by minute, and added up by the hour (model/statistics.py).
-- A commit replaces its rows again and again: room for that in the same page.
CREATE TABLE rollup_minutes (
    start   bigint NOT NULL,
    app_id  text COLLATE "C" NOT NULL, -- '': of all applications
    kind    text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    shard   bigint NOT NULL,           -- which session wrote it: readers add them up
    counts  bytea NOT NULL,            -- MessagePack: code → number
    PRIMARY KEY (start, app_id, kind, subject, shard)
) WITH (fillfactor = 50);

CREATE TABLE rollup_hours (
    app_id  text COLLATE "C" NOT NULL,
    kind    text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    start   bigint NOT NULL,
    counts  bytea NOT NULL,
    PRIMARY KEY (app_id, kind, subject, start)
);
CREATE INDEX rollup_hours_start ON rollup_hours (start);

-- One row, once something is added up.
CREATE TABLE rollup_progress (
    id           integer PRIMARY KEY CHECK (id = 1),
    hours_until  bigint NOT NULL,      -- hours that began before are added up
    minutes_from bigint NOT NULL       -- minutes before may be deleted: their hours are final
);

-- What happened at a point in time: starts of processes, circuits that opened or closed.
CREATE TABLE markers (
    id          text COLLATE "C" NOT NULL,
    app_id      text COLLATE "C" NOT NULL, -- '': it concerns all
    endpoint_id text COLLATE "C" NOT NULL, -- '': no single one
    at          bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    text        text COLLATE "C" NOT NULL,
    PRIMARY KEY (id, app_id)
);
CREATE INDEX markers_app ON markers (app_id, id);
