-- The server's process for a member's connection: it ends at once when the member is killed.
ALTER TABLE members ADD COLUMN backend_pid integer; -- NULL: a member of an older version
