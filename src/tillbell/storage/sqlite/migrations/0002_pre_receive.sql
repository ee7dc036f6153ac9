-- What comes in, and what it does to money.
--
-- The database itself keeps the rules of money, whoever writes: an effect once for each kind and
-- only with the step that allows it, steps without gaps, nothing that happened undone. What it
-- refuses it names: `books: …`. Ids are sorted by time, so indexes that end in `id` are lists.

-- ── callbacks ───────────────────────────────────────────────────────────────────────────────────

CREATE TABLE callbacks (
    id             TEXT NOT NULL PRIMARY KEY,
    app_id         TEXT NOT NULL,
    source_id      TEXT NOT NULL,
    provider       TEXT NOT NULL,
    received_at    INTEGER NOT NULL,
    method         TEXT NOT NULL,
    size           INTEGER NOT NULL,
    trust          INTEGER,              -- NULL: refused
    verdict_why    TEXT NOT NULL,
    dedupe_key     TEXT,
    outcome        TEXT CHECK (outcome IN (
                       'applied', 'duplicate', 'stale', 'conflict', 'illegal', 'unmatched',
                       'unmapped', 'mismatch', 'noted', 'ignored', 'unauthenticated', 'malformed')),
    why            TEXT NOT NULL,
    duplicate_of   TEXT,
    transaction_id TEXT,
    message_ids    TEXT,                 -- JSON list; NULL: none
    processed_at   INTEGER,
    retry_at       INTEGER CHECK (retry_at IS NULL OR outcome = 'unmatched'),
    hops           INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX callbacks_app ON callbacks (app_id, id);
CREATE INDEX callbacks_source ON callbacks (source_id, id);
CREATE INDEX callbacks_outcome ON callbacks (app_id, outcome, id) WHERE outcome IS NOT NULL;
CREATE INDEX callbacks_refused ON callbacks (app_id, trust, id) WHERE trust IS NULL;
CREATE INDEX callbacks_transaction ON callbacks (transaction_id, id)
    WHERE transaction_id IS NOT NULL;
CREATE INDEX callbacks_unprocessed ON callbacks (id) WHERE outcome IS NULL;
CREATE INDEX callbacks_retry ON callbacks (retry_at, id) WHERE retry_at IS NOT NULL;

-- Their bytes, sealed; apart, because they are kept for a shorter time. With a rowid: they are long.
CREATE TABLE callback_requests (
    callback_id TEXT NOT NULL,
    request     BLOB NOT NULL,
    is_bulk     INTEGER NOT NULL         -- kept for a day only
);
CREATE UNIQUE INDEX callback_requests_callback ON callback_requests (callback_id);
CREATE INDEX callback_requests_bulk ON callback_requests (callback_id) WHERE is_bulk;

-- Which callback holds a dedupe key. It outlives the callback.
CREATE TABLE callback_keys (
    source_id   TEXT NOT NULL,
    dedupe_key  TEXT NOT NULL,
    callback_id TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    taken_at    INTEGER NOT NULL,
    is_open     INTEGER NOT NULL DEFAULT 0,  -- 1: its holder failed to count; the next one may
    PRIMARY KEY (source_id, dedupe_key)
) WITHOUT ROWID;
CREATE INDEX callback_keys_age ON callback_keys (taken_at);
CREATE INDEX callback_keys_app ON callback_keys (app_id);

-- The references that unmatched callbacks wait for.
CREATE TABLE callback_waits (
    app_id      TEXT NOT NULL,
    reference   TEXT NOT NULL,
    callback_id TEXT NOT NULL,
    PRIMARY KEY (app_id, reference, callback_id)
) WITHOUT ROWID;
CREATE INDEX callback_waits_callback ON callback_waits (callback_id);

-- Items of analytics batches that were seen.
CREATE TABLE seen_items (
    source_id TEXT NOT NULL,
    item_key  TEXT NOT NULL,
    app_id    TEXT NOT NULL,
    seen_at   INTEGER NOT NULL,
    PRIMARY KEY (source_id, item_key)
) WITHOUT ROWID;
CREATE INDEX seen_items_age ON seen_items (seen_at);
CREATE INDEX seen_items_app ON seen_items (app_id);

-- ── money ───────────────────────────────────────────────────────────────────────────────────────

-- A transaction begins with no step at all: its first transition gives it sequence and status.
CREATE TABLE transactions (
    id                  TEXT NOT NULL PRIMARY KEY,
    app_id              TEXT NOT NULL,
    direction           TEXT NOT NULL CHECK (direction IN ('pay_in', 'pay_out')),
    kind                TEXT NOT NULL CHECK (kind IN (
                            'payment', 'refund', 'chargeback', 'chargeback_reversal', 'reversal',
                            'return')),
    status              TEXT CHECK (status IN (
                            'Pending', 'On Hold', 'Processing', 'Approved', 'Declined', 'Failed',
                            'Cancelled', 'Rejected')),
    amount              INTEGER NOT NULL CHECK (typeof(amount) = 'integer' AND amount >= 0),
    currency            TEXT NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    uid                 TEXT,
    sequence            INTEGER NOT NULL DEFAULT 0,
    version             INTEGER NOT NULL,
    previous_status     TEXT,
    substate            TEXT,
    reason              TEXT,
    raw_status          TEXT,
    message             TEXT,
    settlement_amount   INTEGER CHECK (typeof(settlement_amount) IN ('integer', 'null')),
    settlement_currency TEXT,
    psp_transaction_id  TEXT,
    psp_reference       TEXT,
    provider            TEXT,
    source_id           TEXT,
    user_id             TEXT,
    merchant_reference  TEXT,
    order_id            TEXT,
    parent_id           TEXT,
    metadata            TEXT,            -- JSON object; NULL: empty
    reserves            INTEGER NOT NULL,
    news_at             INTEGER,
    news_sequence       INTEGER,
    check_at            INTEGER,
    checks              INTEGER NOT NULL,
    if_silent           TEXT,
    CHECK ((sequence = 0) = (status IS NULL)),
    CHECK ((kind = 'payment') = (parent_id IS NULL))
) WITHOUT ROWID;
CREATE INDEX transactions_app ON transactions (app_id, id);
CREATE INDEX transactions_status ON transactions (app_id, status, id) WHERE status IS NOT NULL;
CREATE UNIQUE INDEX transactions_uid ON transactions (app_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX transactions_psp ON transactions (app_id, psp_transaction_id, source_id)
    WHERE psp_transaction_id IS NOT NULL;
CREATE INDEX transactions_order ON transactions (app_id, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX transactions_merchant ON transactions (app_id, merchant_reference)
    WHERE merchant_reference IS NOT NULL;
CREATE INDEX transactions_user ON transactions (app_id, user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX transactions_parent ON transactions (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX transactions_check ON transactions (check_at, id) WHERE check_at IS NOT NULL;
-- One refund under two event ids is one refund.
CREATE UNIQUE INDEX transactions_linked
    ON transactions (parent_id, kind, psp_transaction_id, coalesce(source_id, ''))
    WHERE parent_id IS NOT NULL AND psp_transaction_id IS NOT NULL;

CREATE TABLE transitions (
    transaction_id  TEXT NOT NULL,
    sequence        INTEGER NOT NULL,
    previous_status TEXT,
    status          TEXT NOT NULL,
    at              INTEGER NOT NULL,
    callback_id     TEXT,
    actor           TEXT,
    substate        TEXT,
    reason          TEXT,
    raw_status      TEXT,
    message         TEXT,
    trust           TEXT,
    supersedes      INTEGER,
    details         TEXT,                -- JSON object; NULL: empty
    PRIMARY KEY (transaction_id, sequence)
) WITHOUT ROWID;

CREATE TABLE effects (
    transaction_id TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('reserve', 'credit', 'debit', 'release')),
    sequence       INTEGER NOT NULL,
    amount         INTEGER NOT NULL CHECK (typeof(amount) = 'integer' AND amount >= 0),
    currency       TEXT NOT NULL,
    at             INTEGER NOT NULL,
    callback_id    TEXT,
    PRIMARY KEY (transaction_id, kind)   -- the exactly-once guard
) WITHOUT ROWID;

CREATE TABLE conflicts (
    id                TEXT NOT NULL PRIMARY KEY,
    app_id            TEXT NOT NULL,
    transaction_id    TEXT NOT NULL,
    status            TEXT NOT NULL,
    current           TEXT NOT NULL,
    at                INTEGER NOT NULL,
    severity          TEXT NOT NULL,
    kind              TEXT NOT NULL,
    callback_id       TEXT,
    amount            INTEGER,
    currency          TEXT,
    why               TEXT NOT NULL,
    resolved_at       INTEGER,
    resolution        TEXT,
    resolved_by       TEXT,
    resolution_reason TEXT
) WITHOUT ROWID;
CREATE INDEX conflicts_app ON conflicts (app_id, id);
CREATE INDEX conflicts_open ON conflicts (app_id, resolved_at, id) WHERE resolved_at IS NULL;
CREATE INDEX conflicts_transaction ON conflicts (transaction_id, id);

CREATE TABLE audit (
    id      TEXT NOT NULL,
    app_id  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    details TEXT,                        -- JSON object; NULL: empty
    PRIMARY KEY (app_id, id)
) WITHOUT ROWID;
CREATE INDEX audit_target ON audit (target, id);

-- Applications whose books are being removed in this commit: the only way that history goes.
CREATE TABLE removals (app_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;

-- ── what the database refuses ───────────────────────────────────────────────────────────────────

CREATE TRIGGER transactions_begin BEFORE INSERT ON transactions
BEGIN
    SELECT raise(ABORT, 'books: a transaction begins without steps') WHERE NEW.sequence <> 0;
    SELECT raise(ABORT, 'books: its parent is not a payment of this application')
    WHERE NEW.parent_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM transactions WHERE id = NEW.parent_id AND app_id = NEW.app_id);
END;

-- Also REPLACE inserts; it must not wipe out what happened.
CREATE TRIGGER transactions_begin_once AFTER INSERT ON transactions
BEGIN
    SELECT raise(ABORT, 'books: the transaction exists')
    WHERE EXISTS (SELECT 1 FROM transitions WHERE transaction_id = NEW.id);
END;

CREATE TRIGGER transactions_keep_their_nature
BEFORE UPDATE OF id, app_id, direction, kind, amount, currency, parent_id, created_at ON transactions
WHEN (NEW.id, NEW.app_id, NEW.direction, NEW.kind, NEW.amount, NEW.currency, NEW.created_at)
     <> (OLD.id, OLD.app_id, OLD.direction, OLD.kind, OLD.amount, OLD.currency, OLD.created_at)
  OR NEW.parent_id IS NOT OLD.parent_id
BEGIN
    SELECT raise(ABORT, 'books: amount, currency, direction and kind never change');
END;

CREATE TRIGGER transactions_follow_their_steps
BEFORE UPDATE OF sequence, status ON transactions
WHEN NEW.sequence <> OLD.sequence OR NEW.status IS NOT OLD.status
BEGIN
    SELECT raise(ABORT, 'books: sequence and status are those of the last step')
    WHERE (NEW.sequence, NEW.status) IS NOT (
        SELECT sequence, status FROM transitions
        WHERE transaction_id = NEW.id ORDER BY sequence DESC LIMIT 1);
END;

CREATE TRIGGER transitions_have_no_gap BEFORE INSERT ON transitions
BEGIN
    SELECT CASE
        WHEN t.sequence IS NULL THEN raise(ABORT, 'books: a step of no transaction')
        WHEN NEW.sequence <> t.sequence + 1 THEN raise(ABORT, 'books: a gap in the sequence')
        WHEN NEW.previous_status IS NOT t.status
            THEN raise(ABORT, 'books: the step does not begin where the last one ended')
        WHEN NEW.supersedes IS NOT CASE
            WHEN t.status IN ('Approved', 'Declined', 'Failed', 'Cancelled', 'Rejected')
            THEN t.sequence END
            THEN raise(ABORT, 'books: only a superseding step leaves a terminal status')
    END
    FROM (SELECT 1) LEFT JOIN transactions t ON t.id = NEW.transaction_id;
END;

CREATE TRIGGER transitions_move_their_transaction AFTER INSERT ON transitions
BEGIN
    UPDATE transactions SET sequence = NEW.sequence, status = NEW.status
    WHERE id = NEW.transaction_id;
END;

CREATE TRIGGER effects_follow_their_step BEFORE INSERT ON effects
BEGIN
    SELECT CASE
        WHEN t.status IS NULL THEN raise(ABORT, 'books: an effect of no transaction')
        WHEN EXISTS (SELECT 1 FROM effects WHERE transaction_id = t.id AND kind = NEW.kind)
            THEN raise(ABORT, 'books: an effect counts once')  -- REPLACE would not ask
        WHEN NEW.kind = 'reserve' THEN
            CASE WHEN NEW.sequence <> 1 THEN raise(ABORT, 'books: reserve comes with creation') END
        WHEN NEW.sequence <> t.sequence
            THEN raise(ABORT, 'books: the effect is not of the last step')
        WHEN NEW.kind IN ('credit', 'debit') AND t.status <> 'Approved'
            THEN raise(ABORT, 'books: credit and debit need Approved')
        WHEN NEW.kind = 'release' AND t.status NOT IN ('Declined', 'Failed', 'Cancelled', 'Rejected')
            THEN raise(ABORT, 'books: release needs a negative end')
    END
    FROM (SELECT 1) LEFT JOIN transactions t ON t.id = NEW.transaction_id;
END;

CREATE TRIGGER effects_refund_no_more_than_was_captured BEFORE INSERT ON effects
WHEN NEW.kind = 'debit'
BEGIN
    SELECT raise(ABORT, 'books: refunds above what was captured')
    FROM transactions t
    WHERE t.id = NEW.transaction_id AND t.kind = 'refund' AND (
        NEW.currency <> coalesce((
            SELECT currency FROM effects WHERE transaction_id = t.parent_id AND kind = 'credit'), '')
        OR NEW.amount + coalesce((
            SELECT sum(e.amount) FROM transactions sibling
            CROSS JOIN effects e ON e.transaction_id = sibling.id AND e.kind = 'debit'
            WHERE sibling.parent_id = t.parent_id AND sibling.kind = 'refund'), 0)
        > (SELECT amount FROM effects WHERE transaction_id = t.parent_id AND kind = 'credit'));
END;

-- What happened stays, unless the whole application goes.

CREATE TRIGGER transactions_stay BEFORE DELETE ON transactions
WHEN OLD.app_id NOT IN (SELECT app_id FROM removals)
BEGIN
    SELECT raise(ABORT, 'books: transactions stay');
END;

CREATE TRIGGER transitions_stay BEFORE DELETE ON transitions
WHEN (SELECT app_id FROM transactions WHERE id = OLD.transaction_id)
     NOT IN (SELECT app_id FROM removals)
BEGIN
    SELECT raise(ABORT, 'books: steps stay');
END;

CREATE TRIGGER transitions_are_final BEFORE UPDATE ON transitions
BEGIN
    SELECT raise(ABORT, 'books: steps never change');
END;

CREATE TRIGGER effects_stay BEFORE DELETE ON effects
WHEN (SELECT app_id FROM transactions WHERE id = OLD.transaction_id)
     NOT IN (SELECT app_id FROM removals)
BEGIN
    SELECT raise(ABORT, 'books: effects stay');
END;

CREATE TRIGGER effects_are_final BEFORE UPDATE ON effects
BEGIN
    SELECT raise(ABORT, 'books: effects never change');
END;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
WHEN OLD.app_id NOT IN (SELECT app_id FROM removals)
BEGIN
    SELECT raise(ABORT, 'books: the audit stays');
END;

CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'books: the audit never changes');
END;
