-- Requests that came to inboxes, and what each inbox has counted (model/inboxes.py).
CREATE TABLE inbox_requests (
    id          text COLLATE "C" PRIMARY KEY, -- that of its inbox, then its number
    inbox_id    text COLLATE "C" NOT NULL,
    app_id      text COLLATE "C" NOT NULL, -- '': of no application
    number      bigint NOT NULL,
    received_at bigint NOT NULL,
    expires_at  bigint NOT NULL,
    method      text NOT NULL,
    size        bigint NOT NULL, -- of the body in bytes
    head        bytea NOT NULL, -- target, header lines and address, sealed
    body        bytea NOT NULL -- sealed
);
CREATE INDEX inbox_requests_expiry ON inbox_requests (expires_at);
CREATE INDEX inbox_requests_app ON inbox_requests (app_id);
CREATE TABLE inbox_totals (
    inbox_id text COLLATE "C" PRIMARY KEY,
    app_id   text COLLATE "C" NOT NULL,
    received bigint NOT NULL,
    dropped  bigint NOT NULL
);
CREATE INDEX inbox_totals_app ON inbox_totals (app_id);
