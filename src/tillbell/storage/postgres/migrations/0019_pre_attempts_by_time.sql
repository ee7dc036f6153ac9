-- Attempts of all applications by their start.
CREATE INDEX attempts_started ON attempts (started_at, id);
