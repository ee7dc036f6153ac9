-- A person who is erased goes out of texts that otherwise never change: the reason and message of a
-- step, the reason of a manual action, an entry of the audit log. All else of them stays.

-- Applications in which a person is being erased: empty at the end of every commit.
CREATE TABLE erasures (app_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;

DROP TRIGGER transitions_are_final;
CREATE TRIGGER transitions_are_final BEFORE UPDATE ON transitions
WHEN NOT EXISTS (
        SELECT 1 FROM transactions t JOIN erasures e ON e.app_id = t.app_id
        WHERE t.id = OLD.transaction_id)
  OR (NEW.transaction_id, NEW.sequence, NEW.previous_status, NEW.status, NEW.at, NEW.callback_id,
      NEW.actor, NEW.substate, NEW.trust, NEW.supersedes)
     IS NOT (OLD.transaction_id, OLD.sequence, OLD.previous_status, OLD.status, OLD.at,
             OLD.callback_id, OLD.actor, OLD.substate, OLD.trust, OLD.supersedes)
  OR NEW.reason IS NOT OLD.reason AND NEW.reason IS NOT NULL
  OR NEW.raw_status IS NOT OLD.raw_status AND NEW.raw_status IS NOT NULL
  OR NEW.message IS NOT OLD.message AND NEW.message IS NOT NULL
  OR NEW.details IS NOT OLD.details AND NEW.details IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'books: steps never change');
END;

DROP TRIGGER audit_is_final;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
WHEN OLD.app_id NOT IN (SELECT app_id FROM erasures)
  OR (NEW.id, NEW.app_id, NEW.at, NEW.actor, NEW.action, NEW.target)
     IS NOT (OLD.id, OLD.app_id, OLD.at, OLD.actor, OLD.action, OLD.target)
  OR NEW.reason <> OLD.reason AND NEW.reason <> '(erased)'
  OR NEW.details IS NOT OLD.details AND NEW.details IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'books: the audit never changes');
END;

-- The hash of an entry as it reads since a person was erased from it (rules/audit_chain.py).
ALTER TABLE audit_log ADD COLUMN redaction TEXT;
