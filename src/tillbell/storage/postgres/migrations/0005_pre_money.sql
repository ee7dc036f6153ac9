-- What happened to a payment in sums, its attempts at the provider, and captures beyond the first.

ALTER TABLE transactions
    DROP CONSTRAINT transactions_kind_check,
    ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
        'payment', 'refund', 'chargeback', 'chargeback_reversal', 'reversal', 'return', 'capture')),
    ADD COLUMN authorized bigint NOT NULL DEFAULT 0,
    ADD COLUMN captured bigint NOT NULL DEFAULT 0,
    ADD COLUMN credited bigint NOT NULL DEFAULT 0,
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD COLUMN charged_back bigint NOT NULL DEFAULT 0,
    ADD COLUMN reinstated bigint NOT NULL DEFAULT 0,
    ADD COLUMN reversed bigint NOT NULL DEFAULT 0,
    ADD COLUMN attempts text COLLATE "C",       -- JSON list; NULL: none
    ADD COLUMN movement_id text COLLATE "C";

-- The ids by which a provider knows a payment.
CREATE TABLE payment_attempts (
    app_id             text COLLATE "C" NOT NULL,
    psp_transaction_id text COLLATE "C" NOT NULL,
    source_id          text COLLATE "C" NOT NULL,
    transaction_id     text COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, psp_transaction_id, source_id, transaction_id)
);

UPDATE transactions SET captured = e.amount, credited = e.amount
FROM effects e
WHERE e.app_id = transactions.app_id AND e.transaction_id = transactions.id
  AND e.kind IN ('credit', 'debit') AND transactions.kind = 'payment';
UPDATE transactions
SET refunded = sums.refunded, charged_back = sums.charged_back, reinstated = sums.reinstated,
    reversed = sums.reversed
FROM (
    SELECT child.app_id, child.parent_id,
           sum(CASE WHEN child.kind = 'refund' THEN e.amount ELSE 0 END) AS refunded,
           sum(CASE WHEN child.kind = 'chargeback' THEN e.amount ELSE 0 END) AS charged_back,
           sum(CASE WHEN child.kind = 'chargeback_reversal' THEN e.amount ELSE 0 END) AS reinstated,
           sum(CASE WHEN child.kind IN ('reversal', 'return') THEN e.amount ELSE 0 END) AS reversed
    FROM transactions child
    JOIN effects e ON e.app_id = child.app_id AND e.transaction_id = child.id
        AND e.kind IN ('credit', 'debit')
    WHERE child.parent_id IS NOT NULL GROUP BY child.app_id, child.parent_id) sums
WHERE transactions.app_id = sums.app_id AND transactions.id = sums.parent_id;

-- One refund under two event ids is one refund; a dispute may take its money twice.
DROP INDEX transactions_linked;
CREATE UNIQUE INDEX transactions_linked
    ON transactions (app_id, parent_id, kind, psp_transaction_id, coalesce(source_id, ''),
                     coalesce(movement_id, ''))
    WHERE parent_id IS NOT NULL AND psp_transaction_id IS NOT NULL;

-- Only a person may book more refunds than were credited: the provider made them.
CREATE OR REPLACE FUNCTION effects_refund_no_more_than_was_captured() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    t transactions%ROWTYPE;
    captured effects%ROWTYPE;
BEGIN
    SELECT * INTO t FROM transactions WHERE app_id = NEW.app_id AND id = NEW.transaction_id;
    IF t.kind IS DISTINCT FROM 'refund' THEN
        RETURN NEW;
    END IF;
    IF EXISTS (
        SELECT 1 FROM transitions
        WHERE app_id = t.app_id AND transaction_id = t.id AND sequence = NEW.sequence
          AND actor IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    PERFORM 1 FROM transactions
    WHERE app_id = t.app_id AND id = t.parent_id FOR UPDATE;  -- its refunds one by one
    SELECT * INTO captured FROM effects
    WHERE app_id = t.app_id AND transaction_id = t.parent_id AND kind = 'credit';
    IF NOT FOUND OR NEW.currency <> captured.currency OR NEW.amount > captured.amount + coalesce((
        SELECT sum(CASE sibling.kind WHEN 'capture' THEN e.amount ELSE -e.amount END)
        FROM transactions sibling
        JOIN effects e ON e.app_id = sibling.app_id AND e.transaction_id = sibling.id
            AND e.kind IN ('credit', 'debit')
        WHERE sibling.app_id = t.app_id AND sibling.parent_id = t.parent_id
          AND sibling.kind IN ('refund', 'capture')), 0) + coalesce((
        SELECT sum(e.amount) FROM transactions sibling
        JOIN transactions child ON child.app_id = sibling.app_id AND child.parent_id = sibling.id
        JOIN effects e ON e.app_id = child.app_id AND e.transaction_id = child.id
            AND e.kind = 'credit'
        WHERE sibling.app_id = t.app_id AND sibling.parent_id = t.parent_id
          AND sibling.kind = 'refund'), 0) THEN
        PERFORM refuse('refunds above what was captured');
    END IF;
    RETURN NEW;
END $$;
