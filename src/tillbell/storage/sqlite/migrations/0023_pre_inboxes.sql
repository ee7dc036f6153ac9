-- Requests that came to inboxes, and what each inbox has counted (model/inboxes.py).
CREATE TABLE inbox_requests (
    id          TEXT PRIMARY KEY,    -- that of its inbox, then its number
    inbox_id    TEXT NOT NULL,
    app_id      TEXT NOT NULL,       -- '': of no application
    number      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    method      TEXT NOT NULL,
    size        INTEGER NOT NULL,    -- of the body in bytes
    head        BLOB NOT NULL,       -- target, header lines and address, sealed
    body        BLOB NOT NULL        -- sealed
);
CREATE INDEX inbox_requests_expiry ON inbox_requests (expires_at);
CREATE INDEX inbox_requests_app ON inbox_requests (app_id);
CREATE TABLE inbox_totals (
    inbox_id TEXT PRIMARY KEY,
    app_id   TEXT NOT NULL,
    received INTEGER NOT NULL,
    dropped  INTEGER NOT NULL
);
CREATE INDEX inbox_totals_app ON inbox_totals (app_id);
