-- A person who is erased goes out of texts that otherwise never change: the reason and message of a
-- step, the reason of a manual action, an entry of the audit log. All else of them stays.

-- Applications in which a person is being erased: empty at the end of every commit.
CREATE TABLE erasures (app_id text COLLATE "C" NOT NULL PRIMARY KEY);

CREATE FUNCTION erasures_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM erasures WHERE app_id = NEW.app_id) THEN
        PERFORM refuse('an erasure ends in its own commit');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER erasures_end AFTER INSERT ON erasures
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION erasures_end();

CREATE FUNCTION transitions_lose_texts_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM erasures WHERE app_id = OLD.app_id)
        OR (NEW.app_id, NEW.transaction_id, NEW.sequence, NEW.previous_status, NEW.status, NEW.at,
            NEW.callback_id, NEW.actor, NEW.substate, NEW.trust, NEW.supersedes)
            IS DISTINCT FROM (OLD.app_id, OLD.transaction_id, OLD.sequence, OLD.previous_status,
            OLD.status, OLD.at, OLD.callback_id, OLD.actor, OLD.substate, OLD.trust, OLD.supersedes)
        OR NEW.reason IS DISTINCT FROM OLD.reason AND NEW.reason IS NOT NULL
        OR NEW.raw_status IS DISTINCT FROM OLD.raw_status AND NEW.raw_status IS NOT NULL
        OR NEW.message IS DISTINCT FROM OLD.message AND NEW.message IS NOT NULL
        OR NEW.details IS DISTINCT FROM OLD.details AND NEW.details IS NOT NULL THEN
        PERFORM refuse('steps never change');
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER transitions_are_final ON transitions;
CREATE TRIGGER transitions_are_final BEFORE UPDATE ON transitions
FOR EACH ROW EXECUTE FUNCTION transitions_lose_texts_alone();
CREATE TRIGGER transitions_are_not_emptied BEFORE TRUNCATE ON transitions
FOR EACH STATEMENT EXECUTE FUNCTION is_final('steps never change');

CREATE FUNCTION audit_loses_texts_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM erasures WHERE app_id = OLD.app_id)
        OR (NEW.id, NEW.app_id, NEW.at, NEW.actor, NEW.action, NEW.target)
            IS DISTINCT FROM (OLD.id, OLD.app_id, OLD.at, OLD.actor, OLD.action, OLD.target)
        OR NEW.reason <> OLD.reason AND NEW.reason <> '(erased)'
        OR NEW.details IS DISTINCT FROM OLD.details AND NEW.details IS NOT NULL THEN
        PERFORM refuse('the audit never changes');
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER audit_is_final ON audit;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_loses_texts_alone();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION is_final('the audit never changes');

-- The hash of an entry as it reads since a person was erased from it (rules/audit_chain.py).
ALTER TABLE audit_log ADD COLUMN redaction text COLLATE "C";
