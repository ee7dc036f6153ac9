-- A process that changes a record asks all members to read the changes, by the number of a round. A
-- member stores the round that it has done: it has read all that was committed before that began.
CREATE SEQUENCE IF NOT EXISTS feed_rounds;
SELECT nextval('feed_rounds'); -- so that last_value is always a round that has begun
ALTER TABLE members ADD COLUMN IF NOT EXISTS feed_round bigint; -- NULL: a member of an older version
