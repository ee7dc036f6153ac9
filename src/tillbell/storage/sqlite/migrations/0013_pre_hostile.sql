-- What the database refuses, whoever asks: effects that do not fit their transaction, and history
-- that is replaced or removed while its application is there.

DROP TRIGGER IF EXISTS effects_follow_their_step;
CREATE TRIGGER effects_follow_their_step BEFORE INSERT ON effects
BEGIN
    SELECT CASE
        WHEN t.status IS NULL THEN raise(ABORT, 'books: an effect of no transaction')
        WHEN EXISTS (SELECT 1 FROM effects WHERE transaction_id = t.id AND kind = NEW.kind)
            THEN raise(ABORT, 'books: an effect counts once')  -- REPLACE would not ask
        WHEN NEW.kind = 'reserve' AND NEW.sequence <> 1
            THEN raise(ABORT, 'books: reserve comes with creation')
        WHEN NEW.kind <> 'reserve' AND NEW.sequence <> t.sequence
            THEN raise(ABORT, 'books: the effect is not of the last step')
        WHEN NEW.kind IN ('credit', 'debit') AND t.status <> 'Approved'
            THEN raise(ABORT, 'books: credit and debit need Approved')
        WHEN NEW.kind = 'release' AND t.status NOT IN ('Declined', 'Failed', 'Cancelled', 'Rejected')
            THEN raise(ABORT, 'books: release needs a negative end')
        WHEN NEW.currency <> t.currency
            THEN raise(ABORT, 'books: the effect is in another currency than its transaction')
        WHEN NEW.kind = 'credit' AND t.direction <> 'pay_in'
            OR NEW.kind = 'debit' AND t.direction <> 'pay_out'
            THEN raise(ABORT, 'books: the effect goes in the other direction')
        WHEN NEW.kind IN ('reserve', 'release') AND t.reserves <> 1
            THEN raise(ABORT, 'books: the transaction reserves nothing')
        WHEN NEW.kind = 'reserve' AND NEW.amount <> t.amount
            THEN raise(ABORT, 'books: reserve has the amount of its transaction')
        WHEN NEW.kind = 'reserve' AND EXISTS (SELECT 1 FROM effects WHERE transaction_id = t.id)
            THEN raise(ABORT, 'books: reserve comes before all others')
        WHEN NEW.kind = 'release' AND NEW.amount <> coalesce((
            SELECT amount FROM effects WHERE transaction_id = t.id AND kind = 'reserve'), -1)
            THEN raise(ABORT, 'books: release has the amount that was reserved')
        -- A person may book another amount than the one that was asked for.
        WHEN NEW.amount > max(t.amount, t.captured, t.credited) AND NOT EXISTS (
            SELECT 1 FROM transitions
            WHERE transaction_id = t.id AND sequence = NEW.sequence AND actor IS NOT NULL)
            THEN raise(ABORT, 'books: the effect is larger than its transaction')
    END
    FROM (SELECT 1) LEFT JOIN transactions t ON t.id = NEW.transaction_id;
END;

DROP TRIGGER IF EXISTS transactions_keep_their_nature;
CREATE TRIGGER transactions_keep_their_nature
BEFORE UPDATE OF id, app_id, direction, kind, amount, currency, parent_id, created_at, reserves
ON transactions
WHEN (NEW.id, NEW.app_id, NEW.direction, NEW.kind, NEW.amount, NEW.currency, NEW.created_at, NEW.reserves)
     <> (OLD.id, OLD.app_id, OLD.direction, OLD.kind, OLD.amount, OLD.currency, OLD.created_at, OLD.reserves)
  OR NEW.parent_id IS NOT OLD.parent_id
BEGIN
    SELECT raise(ABORT, 'books: amount, currency, direction and kind never change');
END;

-- REPLACE deletes what holds the same unique value, and no trigger hears of it.

CREATE TRIGGER IF NOT EXISTS transactions_take_what_is_free BEFORE INSERT ON transactions
BEGIN
    SELECT raise(ABORT, 'books: UNIQUE: another transaction has its uid')
    WHERE NEW.uid IS NOT NULL AND EXISTS (
        SELECT 1 FROM transactions WHERE app_id = NEW.app_id AND uid = NEW.uid AND id <> NEW.id);
    SELECT raise(ABORT, 'books: UNIQUE: another transaction has its id at the provider')
    WHERE NEW.parent_id IS NOT NULL AND NEW.psp_transaction_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM transactions
        WHERE parent_id = NEW.parent_id AND kind = NEW.kind
          AND psp_transaction_id = NEW.psp_transaction_id
          AND coalesce(source_id, '') = coalesce(NEW.source_id, '')
          AND coalesce(movement_id, '') = coalesce(NEW.movement_id, '') AND id <> NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS transactions_change_to_what_is_free
BEFORE UPDATE OF uid, psp_transaction_id, source_id, movement_id ON transactions
WHEN NEW.uid IS NOT OLD.uid OR NEW.psp_transaction_id IS NOT OLD.psp_transaction_id
  OR NEW.source_id IS NOT OLD.source_id OR NEW.movement_id IS NOT OLD.movement_id
BEGIN
    SELECT raise(ABORT, 'books: UNIQUE: another transaction has its uid')
    WHERE NEW.uid IS NOT NULL AND EXISTS (
        SELECT 1 FROM transactions WHERE app_id = NEW.app_id AND uid = NEW.uid AND id <> NEW.id);
    SELECT raise(ABORT, 'books: UNIQUE: another transaction has its id at the provider')
    WHERE NEW.parent_id IS NOT NULL AND NEW.psp_transaction_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM transactions
        WHERE parent_id = NEW.parent_id AND kind = NEW.kind
          AND psp_transaction_id = NEW.psp_transaction_id
          AND coalesce(source_id, '') = coalesce(NEW.source_id, '')
          AND coalesce(movement_id, '') = coalesce(NEW.movement_id, '') AND id <> NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS audit_is_written_once BEFORE INSERT ON audit
BEGIN
    SELECT raise(ABORT, 'books: the audit never changes')
    WHERE EXISTS (SELECT 1 FROM audit WHERE app_id = NEW.app_id AND id = NEW.id);
END;

-- Books are removed with their application, and all of them.

CREATE TRIGGER IF NOT EXISTS removals_follow_their_application BEFORE INSERT ON removals
BEGIN
    SELECT raise(ABORT, 'books: the application is still there')
    WHERE EXISTS (
        SELECT 1 FROM records WHERE kind = 'Application' AND scope = '' AND id = NEW.app_id);
END;

CREATE TRIGGER IF NOT EXISTS removals_name_one_application BEFORE UPDATE ON removals
BEGIN
    SELECT raise(ABORT, 'books: a removal never changes');
END;

CREATE TRIGGER IF NOT EXISTS removals_are_whole BEFORE DELETE ON removals
BEGIN
    SELECT raise(ABORT, 'books: a removal leaves nothing')
    WHERE EXISTS (SELECT 1 FROM transactions WHERE app_id = OLD.app_id)
       OR EXISTS (SELECT 1 FROM audit WHERE app_id = OLD.app_id);
END;
