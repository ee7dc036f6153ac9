-- Attempts by their end, for those who follow what happens.
CREATE INDEX attempts_ended ON attempts (started_at + duration_us);
