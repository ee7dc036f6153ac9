-- Where this store went: at most one row. A store that is being moved, or has been, is not served.
CREATE TABLE departures (
    id          TEXT NOT NULL PRIMARY KEY,
    target      TEXT NOT NULL,        -- the other database, without password
    begun_at    INTEGER NOT NULL,
    finished_at INTEGER               -- NULL: rows may still be missing there
) WITHOUT ROWID;
