-- History cut by time: see partitions.py.

-- name: partitions
-- Those that were made; the default ones take what is left over.
SELECT parent.relname, child.relname
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent AND parent.relkind = 'p'
JOIN pg_class child ON child.oid = inhrelid
WHERE parent.relnamespace = current_schema()::regnamespace
  AND child.relname <> parent.relname || '_default'
ORDER BY child.relname;

-- name: set_short_timeouts
-- Until the end of the transaction: who waits for a lock on a table lets others wait behind it.
SELECT set_config('lock_timeout', '100ms', true), set_config('statement_timeout', '5s', true);

-- name: default_size
-- Bytes. To attach a partition is to read the default one, while nobody else may.
SELECT pg_relation_size(to_regclass(format('%I', ?1 || '_default')));

-- name: make_partition
SELECT make_partition(?1, ?2, ?3, ?4);

-- name: lock_table
-- form {table} callback_requests: callback_requests
-- form {table} bodies: bodies
-- form {table} attempts: attempts
-- form {table} deliveries: deliveries
-- form {table} totals: totals
-- form {table} messages: messages
-- form {table} callbacks: callbacks
LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;

-- name: drop_partition
SELECT drop_partition(?1);

-- name: has_open_deliveries
-- Indexes: deliveries_waiting, deliveries_leased.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND id >= ?1 AND id < ?2)
    OR EXISTS (SELECT 1 FROM deliveries WHERE state = 'sending' AND id >= ?1 AND id < ?2);

-- name: has_deliveries
-- Index: primary key.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE id >= ?1 AND id < ?2);

-- name: has_attempts
-- Index: primary key.
SELECT EXISTS (SELECT 1 FROM attempts WHERE id >= ?1 AND id < ?2);

-- name: has_lasting_bodies
-- Index: bodies_expiry.
SELECT EXISTS (
    SELECT 1 FROM bodies WHERE message_id >= ?1 AND message_id < ?2 AND expires_at > ?3);

-- name: has_open_callbacks
-- Indexes: callbacks_unprocessed, callbacks_retry.
SELECT EXISTS (SELECT 1 FROM callbacks WHERE outcome IS NULL AND id >= ?1 AND id < ?2)
    OR EXISTS (SELECT 1 FROM callbacks WHERE retry_at IS NOT NULL AND id >= ?1 AND id < ?2);

-- name: free_event_ids
-- Index: event_ids_message.
DELETE FROM event_ids WHERE message_id = ANY (ARRAY (
    SELECT message_id FROM event_ids WHERE message_id >= ?1 AND message_id < ?2 LIMIT ?3));

-- name: deliveries_of_expiring_bodies
-- Open deliveries whose bodies go with their partition. Indexes: deliveries_waiting, primary keys.
SELECT {delivery}, m.event_type
FROM deliveries d
{message_of_delivery}
LEFT JOIN bodies b
    ON b.app_id = d.app_id AND b.message_id = {delivery_message} AND b.variant = d.variant
WHERE (d.state = 'waiting' OR d.state = 'sending' AND d.due_at <= ?3)
  AND d.id >= ?1 AND d.id < ?2 AND (b.expires_at IS NULL OR b.expires_at <= ?3)
LIMIT ?4
FOR UPDATE OF d SKIP LOCKED;
