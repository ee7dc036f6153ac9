-- What the database refuses, whoever asks: effects that do not fit their transaction, and history
-- that is replaced or removed while its application is there.

CREATE OR REPLACE FUNCTION effects_follow_their_step() RETURNS trigger LANGUAGE plpgsql AS $$
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
    ELSIF NEW.kind = 'reserve' AND NEW.sequence <> 1 THEN
        PERFORM refuse('reserve comes with creation');
    ELSIF NEW.kind <> 'reserve' AND NEW.sequence <> t.sequence THEN
        PERFORM refuse('the effect is not of the last step');
    ELSIF NEW.kind IN ('credit', 'debit') AND t.status <> 'Approved' THEN
        PERFORM refuse('credit and debit need Approved');
    ELSIF NEW.kind = 'release' AND t.status NOT IN ('Declined', 'Failed', 'Cancelled', 'Rejected') THEN
        PERFORM refuse('release needs a negative end');
    ELSIF NEW.currency <> t.currency THEN
        PERFORM refuse('the effect is in another currency than its transaction');
    ELSIF NEW.kind = 'credit' AND t.direction <> 'pay_in'
        OR NEW.kind = 'debit' AND t.direction <> 'pay_out' THEN
        PERFORM refuse('the effect goes in the other direction');
    ELSIF NEW.kind IN ('reserve', 'release') AND t.reserves <> 1 THEN
        PERFORM refuse('the transaction reserves nothing');
    ELSIF NEW.kind = 'reserve' AND NEW.amount <> t.amount THEN
        PERFORM refuse('reserve has the amount of its transaction');
    ELSIF NEW.kind = 'reserve' AND EXISTS (
        SELECT 1 FROM effects WHERE app_id = t.app_id AND transaction_id = t.id) THEN
        PERFORM refuse('reserve comes before all others');
    ELSIF NEW.kind = 'release' AND NEW.amount IS DISTINCT FROM (
        SELECT amount FROM effects
        WHERE app_id = t.app_id AND transaction_id = t.id AND kind = 'reserve') THEN
        PERFORM refuse('release has the amount that was reserved');
    -- A person may book another amount than the one that was asked for.
    ELSIF NEW.amount > greatest(t.amount, t.captured, t.credited) AND NOT EXISTS (
        SELECT 1 FROM transitions
        WHERE app_id = t.app_id AND transaction_id = t.id AND sequence = NEW.sequence
          AND actor IS NOT NULL) THEN
        PERFORM refuse('the effect is larger than its transaction');
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER transactions_keep_their_nature BEFORE UPDATE ON transactions FOR EACH ROW
WHEN ((NEW.id, NEW.app_id, NEW.direction, NEW.kind, NEW.amount, NEW.currency, NEW.created_at, NEW.reserves)
      <> (OLD.id, OLD.app_id, OLD.direction, OLD.kind, OLD.amount, OLD.currency, OLD.created_at, OLD.reserves)
      OR NEW.parent_id IS DISTINCT FROM OLD.parent_id)
EXECUTE FUNCTION transactions_keep_their_nature();
CREATE OR REPLACE TRIGGER transactions_are_not_emptied BEFORE TRUNCATE ON transactions
FOR EACH STATEMENT EXECUTE FUNCTION is_final('transactions stay');

-- Books are removed with their application, and all of them.

CREATE OR REPLACE FUNCTION removals_follow_their_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM records WHERE kind = 'Application' AND scope = '' AND id = NEW.app_id) THEN
        PERFORM refuse('the application is still there');
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER removals_follow_their_application BEFORE INSERT ON removals
FOR EACH ROW EXECUTE FUNCTION removals_follow_their_application();

CREATE OR REPLACE TRIGGER removals_name_one_application BEFORE UPDATE ON removals
FOR EACH STATEMENT EXECUTE FUNCTION is_final('a removal never changes');

CREATE OR REPLACE FUNCTION removals_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM transactions WHERE app_id = OLD.app_id)
        OR EXISTS (SELECT 1 FROM audit WHERE app_id = OLD.app_id) THEN
        PERFORM refuse('a removal leaves nothing');
    END IF;
    RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER removals_are_whole BEFORE DELETE ON removals
FOR EACH ROW EXECUTE FUNCTION removals_are_whole();

-- A removal ends in the commit that began it.
CREATE OR REPLACE FUNCTION removals_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM removals WHERE app_id = NEW.app_id) THEN
        PERFORM refuse('a removal ends in its own commit');
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS removals_end ON removals;
CREATE CONSTRAINT TRIGGER removals_end AFTER INSERT ON removals
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION removals_end();
