-- What happened to a payment in sums, its attempts at the provider, and captures beyond the first.

-- A CHECK does not concern how rows are stored, so its text may be changed in place.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''return'')', '''return'', ''capture'')')
WHERE type = 'table' AND name = 'transactions';
PRAGMA writable_schema = RESET;

ALTER TABLE transactions ADD COLUMN authorized INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN captured INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN credited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN charged_back INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN reinstated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN reversed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN attempts TEXT;       -- JSON list; NULL: none
ALTER TABLE transactions ADD COLUMN movement_id TEXT;

-- The ids by which a provider knows a payment.
CREATE TABLE payment_attempts (
    app_id             TEXT NOT NULL,
    psp_transaction_id TEXT NOT NULL,
    source_id          TEXT NOT NULL,
    transaction_id     TEXT NOT NULL,
    PRIMARY KEY (app_id, psp_transaction_id, source_id, transaction_id)
) WITHOUT ROWID;

UPDATE transactions SET captured = effects.amount, credited = effects.amount
FROM effects
WHERE effects.transaction_id = transactions.id AND effects.kind IN ('credit', 'debit')
  AND transactions.kind = 'payment';
UPDATE transactions
SET refunded = sums.refunded, charged_back = sums.charged_back, reinstated = sums.reinstated,
    reversed = sums.reversed
FROM (
    SELECT child.parent_id,
           sum(CASE WHEN child.kind = 'refund' THEN e.amount ELSE 0 END) AS refunded,
           sum(CASE WHEN child.kind = 'chargeback' THEN e.amount ELSE 0 END) AS charged_back,
           sum(CASE WHEN child.kind = 'chargeback_reversal' THEN e.amount ELSE 0 END) AS reinstated,
           sum(CASE WHEN child.kind IN ('reversal', 'return') THEN e.amount ELSE 0 END) AS reversed
    FROM transactions child
    CROSS JOIN effects e ON e.transaction_id = child.id AND e.kind IN ('credit', 'debit')
    WHERE child.parent_id IS NOT NULL GROUP BY child.parent_id) sums
WHERE transactions.id = sums.parent_id;

-- One refund under two event ids is one refund; a dispute may take its money twice.
DROP INDEX transactions_linked;
CREATE UNIQUE INDEX transactions_linked
    ON transactions (parent_id, kind, psp_transaction_id, coalesce(source_id, ''),
                     coalesce(movement_id, ''))
    WHERE parent_id IS NOT NULL AND psp_transaction_id IS NOT NULL;

-- Only a person may book more refunds than were credited: the provider made them.
DROP TRIGGER effects_refund_no_more_than_was_captured;
CREATE TRIGGER effects_refund_no_more_than_was_captured BEFORE INSERT ON effects
WHEN NEW.kind = 'debit'
BEGIN
    SELECT raise(ABORT, 'books: refunds above what was captured')
    FROM transactions t
    WHERE t.id = NEW.transaction_id AND t.kind = 'refund'
      AND NOT EXISTS (
        SELECT 1 FROM transitions
        WHERE transaction_id = t.id AND sequence = NEW.sequence AND actor IS NOT NULL)
      AND (
        NEW.currency <> coalesce((
            SELECT currency FROM effects WHERE transaction_id = t.parent_id AND kind = 'credit'), '')
        OR NEW.amount > (
            SELECT amount FROM effects WHERE transaction_id = t.parent_id AND kind = 'credit')
        + coalesce((
            SELECT sum(CASE sibling.kind WHEN 'capture' THEN e.amount ELSE -e.amount END)
            FROM transactions sibling
            CROSS JOIN effects e ON e.transaction_id = sibling.id
            WHERE sibling.parent_id = t.parent_id AND sibling.kind IN ('refund', 'capture')
              AND e.kind IN ('credit', 'debit')), 0)
        + coalesce((
            SELECT sum(e.amount) FROM transactions sibling
            CROSS JOIN transactions child ON child.parent_id = sibling.id
            CROSS JOIN effects e ON e.transaction_id = child.id AND e.kind = 'credit'
            WHERE sibling.parent_id = t.parent_id AND sibling.kind = 'refund'), 0));
END;
