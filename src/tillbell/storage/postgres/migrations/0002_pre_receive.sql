-- What comes in, and what it does to money.
--
-- The database itself keeps the rules of money, whoever writes: an effect once for each kind and
-- only with the step that allows it, steps without gaps, nothing that happened undone. What it
-- refuses it names: `books: …`. Ids are sorted by time, so indexes that end in `id` are lists.

-- ── callbacks ───────────────────────────────────────────────────────────────────────────────────

CREATE TABLE callbacks (
    id             text COLLATE "C" NOT NULL,
    app_id         text COLLATE "C" NOT NULL,
    source_id      text COLLATE "C" NOT NULL,
    provider       text COLLATE "C" NOT NULL,
    received_at    bigint NOT NULL,
    method         text COLLATE "C" NOT NULL,
    size           bigint NOT NULL,
    trust          bigint,              -- NULL: refused
    verdict_why    text COLLATE "C" NOT NULL,
    dedupe_key     text COLLATE "C",
    outcome        text COLLATE "C" CHECK (outcome IN (
                       'applied', 'duplicate', 'stale', 'conflict', 'illegal', 'unmatched',
                       'unmapped', 'mismatch', 'noted', 'ignored', 'unauthenticated', 'malformed')),
    why            text COLLATE "C" NOT NULL,
    duplicate_of   text COLLATE "C",
    transaction_id text COLLATE "C",
    message_ids    text COLLATE "C",                 -- JSON list; NULL: none
    processed_at   bigint,
    retry_at       bigint CHECK (retry_at IS NULL OR outcome = 'unmatched'),
    hops           bigint NOT NULL,
    PRIMARY KEY (id, app_id)
) PARTITION BY RANGE (id);
CREATE TABLE callbacks_default PARTITION OF callbacks DEFAULT;
CREATE INDEX callbacks_app ON callbacks (app_id, id);
CREATE INDEX callbacks_source ON callbacks (source_id, id);
CREATE INDEX callbacks_outcome ON callbacks (app_id, outcome, id) WHERE outcome IS NOT NULL;
CREATE INDEX callbacks_refused ON callbacks (app_id, trust, id) WHERE trust IS NULL;
CREATE INDEX callbacks_transaction ON callbacks (transaction_id, id)
    WHERE transaction_id IS NOT NULL;
CREATE INDEX callbacks_unprocessed ON callbacks (id) WHERE outcome IS NULL;
CREATE INDEX callbacks_retry ON callbacks (retry_at, id) WHERE retry_at IS NOT NULL;

-- Their bytes, sealed; apart, because they are kept for a shorter time.
CREATE TABLE callback_requests (
    app_id      text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    request     bytea NOT NULL,
    is_bulk     bigint NOT NULL,        -- kept for a day only
    PRIMARY KEY (callback_id, app_id)
) PARTITION BY RANGE (callback_id);
CREATE TABLE callback_requests_default PARTITION OF callback_requests DEFAULT;
CREATE INDEX callback_requests_bulk ON callback_requests (callback_id, app_id)
    WHERE is_bulk = 1;

-- Which callback holds a dedupe key. It outlives the callback.
CREATE TABLE callback_keys (
    app_id      text COLLATE "C" NOT NULL,
    source_id   text COLLATE "C" NOT NULL,
    dedupe_key  text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    taken_at    bigint NOT NULL,
    is_open     bigint NOT NULL DEFAULT 0,  -- 1: its holder failed to count; the next one may
    PRIMARY KEY (app_id, source_id, dedupe_key)
);
CREATE INDEX callback_keys_age ON callback_keys (taken_at);

-- The references that unmatched callbacks wait for.
CREATE TABLE callback_waits (
    app_id      text COLLATE "C" NOT NULL,
    reference   text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, reference, callback_id)
);
CREATE INDEX callback_waits_callback ON callback_waits (callback_id);

-- Items of analytics batches that were seen.
CREATE TABLE seen_items (
    app_id    text COLLATE "C" NOT NULL,
    source_id text COLLATE "C" NOT NULL,
    item_key  text COLLATE "C" NOT NULL,
    seen_at   bigint NOT NULL,
    PRIMARY KEY (app_id, source_id, item_key)
);
CREATE INDEX seen_items_age ON seen_items (seen_at);

-- ── money ───────────────────────────────────────────────────────────────────────────────────────

-- A transaction begins with no step at all: its first transition gives it sequence and status.
CREATE TABLE transactions (
    id                  text COLLATE "C" NOT NULL,
    app_id              text COLLATE "C" NOT NULL,
    direction           text COLLATE "C" NOT NULL CHECK (direction IN ('pay_in', 'pay_out')),
    kind                text COLLATE "C" NOT NULL CHECK (kind IN (
                            'payment', 'refund', 'chargeback', 'chargeback_reversal', 'reversal',
                            'return')),
    status              text COLLATE "C" CHECK (status IN (
                            'Pending', 'On Hold', 'Processing', 'Approved', 'Declined', 'Failed',
                            'Cancelled', 'Rejected')),
    amount              bigint NOT NULL CHECK (amount >= 0),
    currency            text COLLATE "C" NOT NULL,
    created_at          bigint NOT NULL,
    updated_at          bigint NOT NULL,
    uid                 text COLLATE "C",
    sequence            bigint NOT NULL DEFAULT 0,
    version             bigint NOT NULL,
    previous_status     text COLLATE "C",
    substate            text COLLATE "C",
    reason              text COLLATE "C",
    raw_status          text COLLATE "C",
    message             text COLLATE "C",
    settlement_amount   bigint,
    settlement_currency text COLLATE "C",
    psp_transaction_id  text COLLATE "C",
    psp_reference       text COLLATE "C",
    provider            text COLLATE "C",
    source_id           text COLLATE "C",
    user_id             text COLLATE "C",
    merchant_reference  text COLLATE "C",
    order_id            text COLLATE "C",
    parent_id           text COLLATE "C",
    metadata            text COLLATE "C",            -- JSON object; NULL: empty
    reserves            bigint NOT NULL,
    news_at             bigint,
    news_sequence       bigint,
    check_at            bigint,
    checks              bigint NOT NULL,
    if_silent           text COLLATE "C",
    PRIMARY KEY (app_id, id),
    CHECK ((sequence = 0) = (status IS NULL)),
    CHECK ((kind = 'payment') = (parent_id IS NULL))
);
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
    ON transactions (app_id, parent_id, kind, psp_transaction_id, coalesce(source_id, ''))
    WHERE parent_id IS NOT NULL AND psp_transaction_id IS NOT NULL;

CREATE TABLE transitions (
    app_id          text COLLATE "C" NOT NULL,
    transaction_id  text COLLATE "C" NOT NULL,
    sequence        bigint NOT NULL,
    previous_status text COLLATE "C",
    status          text COLLATE "C" NOT NULL,
    at              bigint NOT NULL,
    callback_id     text COLLATE "C",
    actor           text COLLATE "C",
    substate        text COLLATE "C",
    reason          text COLLATE "C",
    raw_status      text COLLATE "C",
    message         text COLLATE "C",
    trust           text COLLATE "C",
    supersedes      bigint,
    details         text COLLATE "C",                -- JSON object; NULL: empty
    PRIMARY KEY (app_id, transaction_id, sequence)
);

CREATE TABLE effects (
    app_id         text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL CHECK (kind IN ('reserve', 'credit', 'debit', 'release')),
    sequence       bigint NOT NULL,
    amount         bigint NOT NULL CHECK (amount >= 0),
    currency       text COLLATE "C" NOT NULL,
    at             bigint NOT NULL,
    callback_id    text COLLATE "C",
    PRIMARY KEY (app_id, transaction_id, kind)   -- the exactly-once guard
);

CREATE TABLE conflicts (
    id                text COLLATE "C" NOT NULL,
    app_id            text COLLATE "C" NOT NULL,
    transaction_id    text COLLATE "C" NOT NULL,
    status            text COLLATE "C" NOT NULL,
    current           text COLLATE "C" NOT NULL,
    at                bigint NOT NULL,
    severity          text COLLATE "C" NOT NULL,
    kind              text COLLATE "C" NOT NULL,
    callback_id       text COLLATE "C",
    amount            bigint,
    currency          text COLLATE "C",
    why               text COLLATE "C" NOT NULL,
    resolved_at       bigint,
    resolution        text COLLATE "C",
    resolved_by       text COLLATE "C",
    resolution_reason text COLLATE "C",
    PRIMARY KEY (app_id, id)
);
CREATE INDEX conflicts_open ON conflicts (app_id, resolved_at, id) WHERE resolved_at IS NULL;
CREATE INDEX conflicts_transaction ON conflicts (transaction_id, id);

CREATE TABLE audit (
    id      text COLLATE "C" NOT NULL,
    app_id  text COLLATE "C" NOT NULL,
    at      bigint NOT NULL,
    actor   text COLLATE "C" NOT NULL,
    action  text COLLATE "C" NOT NULL,
    target  text COLLATE "C" NOT NULL,
    reason  text COLLATE "C" NOT NULL,
    details text COLLATE "C",                        -- JSON object; NULL: empty
    PRIMARY KEY (app_id, id)
);
CREATE INDEX audit_target ON audit (target, id);

-- Applications whose books are being removed in this commit: the only way that history goes.
CREATE TABLE removals (app_id text COLLATE "C" NOT NULL PRIMARY KEY);

-- ── what the database refuses ───────────────────────────────────────────────────────────────────

CREATE FUNCTION refuse(why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'books: ' || why;
END $$;

CREATE FUNCTION transactions_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> 0 THEN
        PERFORM refuse('a transaction begins without steps');
    END IF;
    IF NEW.parent_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM transactions WHERE id = NEW.parent_id AND app_id = NEW.app_id) THEN
        PERFORM refuse('its parent is not a payment of this application');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transactions_begin BEFORE INSERT ON transactions
FOR EACH ROW EXECUTE FUNCTION transactions_begin();

CREATE FUNCTION transactions_keep_their_nature() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('amount, currency, direction and kind never change');
END $$;
CREATE TRIGGER transactions_keep_their_nature BEFORE UPDATE ON transactions FOR EACH ROW
WHEN ((NEW.id, NEW.app_id, NEW.direction, NEW.kind, NEW.amount, NEW.currency, NEW.created_at)
      <> (OLD.id, OLD.app_id, OLD.direction, OLD.kind, OLD.amount, OLD.currency, OLD.created_at)
      OR NEW.parent_id IS DISTINCT FROM OLD.parent_id)
EXECUTE FUNCTION transactions_keep_their_nature();

CREATE FUNCTION transactions_follow_their_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A step that is just being inserted moves its transaction (transitions_have_no_gap).
    IF pg_trigger_depth() = 1 AND NOT EXISTS (
        SELECT 1 FROM (
            SELECT sequence, status FROM transitions
            WHERE app_id = NEW.app_id AND transaction_id = NEW.id
            ORDER BY sequence DESC LIMIT 1) last
        WHERE last.sequence = NEW.sequence AND last.status IS NOT DISTINCT FROM NEW.status) THEN
        PERFORM refuse('sequence and status are those of the last step');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transactions_follow_their_steps BEFORE UPDATE ON transactions FOR EACH ROW
WHEN (NEW.sequence <> OLD.sequence OR NEW.status IS DISTINCT FROM OLD.status)
EXECUTE FUNCTION transactions_follow_their_steps();

CREATE FUNCTION transitions_have_no_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    t transactions%ROWTYPE;
    superseded bigint;
BEGIN
    SELECT * INTO t FROM transactions
    WHERE app_id = NEW.app_id AND id = NEW.transaction_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('a step of no transaction');
    ELSIF NEW.sequence <> t.sequence + 1 THEN
        PERFORM refuse('a gap in the sequence');
    ELSIF NEW.previous_status IS DISTINCT FROM t.status THEN
        PERFORM refuse('the step does not begin where the last one ended');
    END IF;
    IF t.status IN ('Approved', 'Declined', 'Failed', 'Cancelled', 'Rejected') THEN
        superseded := t.sequence;
    END IF;
    IF NEW.supersedes IS DISTINCT FROM superseded THEN
        PERFORM refuse('only a superseding step leaves a terminal status');
    END IF;
    -- Moved at once: the next step of the same statement begins where this one ends.
    UPDATE transactions SET sequence = NEW.sequence, status = NEW.status
    WHERE app_id = t.app_id AND id = t.id;
    RETURN NEW;
END $$;
CREATE TRIGGER transitions_have_no_gap BEFORE INSERT ON transitions
FOR EACH ROW EXECUTE FUNCTION transitions_have_no_gap();

CREATE FUNCTION effects_follow_their_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    t transactions%ROWTYPE;
BEGIN
    SELECT * INTO t FROM transactions
    WHERE app_id = NEW.app_id AND id = NEW.transaction_id FOR UPDATE;
    IF NOT FOUND OR t.status IS NULL THEN
        PERFORM refuse('an effect of no transaction');
    ELSIF EXISTS (
        SELECT 1 FROM effects
        WHERE app_id = t.app_id AND transaction_id = t.id AND kind = NEW.kind) THEN
        PERFORM refuse('an effect counts once');
    ELSIF NEW.kind = 'reserve' THEN
        IF NEW.sequence <> 1 THEN
            PERFORM refuse('reserve comes with creation');
        END IF;
    ELSIF NEW.sequence <> t.sequence THEN
        PERFORM refuse('the effect is not of the last step');
    ELSIF NEW.kind IN ('credit', 'debit') AND t.status <> 'Approved' THEN
        PERFORM refuse('credit and debit need Approved');
    ELSIF NEW.kind = 'release' AND t.status NOT IN ('Declined', 'Failed', 'Cancelled', 'Rejected') THEN
        PERFORM refuse('release needs a negative end');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER effects_follow_their_step BEFORE INSERT ON effects
FOR EACH ROW EXECUTE FUNCTION effects_follow_their_step();

CREATE FUNCTION effects_refund_no_more_than_was_captured() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    t transactions%ROWTYPE;
    captured effects%ROWTYPE;
BEGIN
    SELECT * INTO t FROM transactions WHERE app_id = NEW.app_id AND id = NEW.transaction_id;
    IF t.kind IS DISTINCT FROM 'refund' THEN
        RETURN NEW;
    END IF;
    PERFORM 1 FROM transactions
    WHERE app_id = t.app_id AND id = t.parent_id FOR UPDATE;  -- its refunds one by one
    SELECT * INTO captured FROM effects
    WHERE app_id = t.app_id AND transaction_id = t.parent_id AND kind = 'credit';
    IF NOT FOUND OR NEW.currency <> captured.currency OR NEW.amount + coalesce((
        SELECT sum(e.amount) FROM transactions sibling
        JOIN effects e ON e.app_id = sibling.app_id AND e.transaction_id = sibling.id
            AND e.kind = 'debit'
        WHERE sibling.app_id = t.app_id AND sibling.parent_id = t.parent_id
          AND sibling.kind = 'refund'), 0) > captured.amount THEN
        PERFORM refuse('refunds above what was captured');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER effects_refund_no_more_than_was_captured BEFORE INSERT ON effects FOR EACH ROW
WHEN (NEW.kind = 'debit') EXECUTE FUNCTION effects_refund_no_more_than_was_captured();

-- What happened stays, unless the whole application goes.

CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM removals WHERE app_id = OLD.app_id) THEN
        PERFORM refuse(TG_ARGV[0]);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER transactions_stay BEFORE DELETE ON transactions
FOR EACH ROW EXECUTE FUNCTION stays('transactions stay');
CREATE TRIGGER transitions_stay BEFORE DELETE ON transitions
FOR EACH ROW EXECUTE FUNCTION stays('steps stay');
CREATE TRIGGER effects_stay BEFORE DELETE ON effects
FOR EACH ROW EXECUTE FUNCTION stays('effects stay');
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION stays('the audit stays');

CREATE FUNCTION is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(TG_ARGV[0]);
END $$;
CREATE TRIGGER transitions_are_final BEFORE UPDATE OR TRUNCATE ON transitions
FOR EACH STATEMENT EXECUTE FUNCTION is_final('steps never change');
CREATE TRIGGER effects_are_final BEFORE UPDATE OR TRUNCATE ON effects
FOR EACH STATEMENT EXECUTE FUNCTION is_final('effects never change');
CREATE TRIGGER audit_is_final BEFORE UPDATE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION is_final('the audit never changes');
