-- What is counted minute by minute, and added up by the hour (model/statistics.py).
-- Minutes begin with their time, so all rows that a commit writes are neighbours.
CREATE TABLE rollup_minutes (
    start   INTEGER NOT NULL,
    app_id  TEXT NOT NULL,             -- '': of all applications
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    shard   INTEGER NOT NULL,          -- which session wrote it: readers add them up
    counts  BLOB NOT NULL,             -- MessagePack: code → number
    PRIMARY KEY (start, app_id, kind, subject, shard)
) WITHOUT ROWID;

CREATE TABLE rollup_hours (
    app_id  TEXT NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    start   INTEGER NOT NULL,
    counts  BLOB NOT NULL,
    PRIMARY KEY (app_id, kind, subject, start)
) WITHOUT ROWID;
CREATE INDEX rollup_hours_start ON rollup_hours (start);

-- One row, once something is added up.
CREATE TABLE rollup_progress (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    hours_until  INTEGER NOT NULL,     -- hours that began before are added up
    minutes_from INTEGER NOT NULL      -- minutes before may be deleted: their hours are final
);

-- What happened at a point in time: starts of processes, circuits that opened or closed.
CREATE TABLE markers (
    id          TEXT NOT NULL PRIMARY KEY,
    app_id      TEXT NOT NULL,         -- '': it concerns all
    endpoint_id TEXT NOT NULL,         -- '': no single one
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    text        TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX markers_app ON markers (app_id, id);
