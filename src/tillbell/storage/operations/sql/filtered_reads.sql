-- Lists that take filters: what may be asked, the fields of each list, and the walks that need no
-- other tables. A walk goes along an index; it is cut to a slice before a filter is applied.

-- predicate: one_of
{field} IN (SELECT value FROM json_each(:values))

-- predicate: starts_with
substr({field}, 1, length(CAST(:prefix AS TEXT))) = CAST(:prefix AS TEXT)

-- predicate: within
{field} BETWEEN :low AND :high

-- predicate: any_label
EXISTS (SELECT 1 FROM json_each({field}) label WHERE label.value IN (SELECT value FROM json_each(:values)))

-- predicate: amount_within
{field}.amount BETWEEN :low AND :high AND {field}.currency IN (SELECT value FROM json_each(:values))

-- fields: message
id = m.id
app = m.app_id
type = m.event_type
channel = m.channels
tag = m.tags
order = m.order_key
event = m.event_id
payload = {payload}

-- fields: delivery
id = d.id
app = d.app_id
message = m.id
endpoint = d.endpoint_id
status = d.state
code = {last_status_code}
attempts = d.attempts
trigger = d.trigger
type = m.event_type
channel = m.channels
tag = m.tags
order = m.order_key
event = m.event_id
payload = {payload}

-- fields: attempt
id = a.id
app = a.app_id
message = m.id
delivery = {attempt_delivery}
endpoint = a.endpoint_id
result = a.result
code = a.status_code
error = a.error
number = a.number
duration = a.duration_us
started = a.started_at
trigger = a.trigger
url = a.url
type = a.event_type
channel = m.channels
tag = m.tags
order = m.order_key
event = m.event_id
payload = {payload}

-- fields: callback
id = c.id
app = c.app_id
source = c.source_id
provider = c.provider
status = coalesce(c.outcome, 'pending')
verdict = CASE WHEN c.trust IS NULL THEN 'refused' ELSE 'accepted' END
trust = CAST(c.trust AS TEXT)
transaction = c.transaction_id

-- fields: transaction
id = t.id
app = t.app_id
uid = t.uid
status = t.status
direction = t.direction
kind = t.kind
order = t.order_id
merchant_reference = t.merchant_reference
psp_transaction_id = t.psp_transaction_id
user = t.user_id
source = t.source_id
provider = t.provider
parent = t.parent_id
amount = t
currency = t.currency

-- fields: conflict
id = f.id
app = f.app_id
status = CASE WHEN f.resolved_at IS NULL THEN 'open' ELSE 'resolved' END
decision = f.resolution
kind = f.kind
severity = f.severity
transaction = f.transaction_id
callback = f.callback_id
claims = f.status
amount = f
currency = f.currency

-- name: filtered_messages
-- form {rows} rows: {message}
-- form {rows} end: m.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} of_app: m.app_id = :app_id
-- Index: primary key.
SELECT {rows} FROM messages m
WHERE {walk} AND m.id > :low AND m.id < :high AND {where}
ORDER BY m.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_callbacks
-- form {rows} rows: {callback}
-- form {rows} end: c.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} everywhere: 1 = 1
-- form {walk} of_app: c.app_id = :app_id
-- form {walk} of_source: c.source_id = :walk AND {no_index}c.app_id = :app_id
-- form {walk} of_outcome: c.app_id = :app_id AND c.outcome = :walk
-- form {walk} refused: c.app_id = :app_id AND c.trust IS NULL
-- form {walk} of_transaction: c.transaction_id = :walk AND {no_index}c.app_id = :app_id
-- Indexes: primary key, callbacks_app, callbacks_source, callbacks_outcome, callbacks_refused,
-- callbacks_transaction.
SELECT {rows} FROM callbacks c
WHERE {walk} AND c.id > :low AND c.id < :high AND {where}
ORDER BY c.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_transactions
-- form {rows} rows: {transaction}
-- form {rows} end: t.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} of_app: t.app_id = :app_id
-- form {walk} of_status: t.app_id = :app_id AND t.status = :walk
-- form {walk} of_user: t.app_id = :app_id AND t.user_id = :walk
-- form {walk} of_parent: t.parent_id = :walk AND {no_index}t.app_id = :app_id
-- form {walk} of_reference: {no_index}t.app_id = :app_id AND {is_of_reference}
-- Indexes: transactions_app, transactions_status, transactions_user, transactions_parent; those of
-- transactions_of_reference.
SELECT {rows} FROM transactions t
WHERE {walk} AND t.id > :low AND t.id < :high AND {where}
ORDER BY t.id {order} LIMIT :limit OFFSET :skip;

-- name: filtered_conflicts
-- form {rows} rows: {conflict}
-- form {rows} end: f.id
-- form {order} descending: DESC
-- form {order} ascending: ASC
-- form {walk} of_app: f.app_id = :app_id
-- form {walk} open: f.app_id = :app_id AND f.resolved_at IS NULL
-- form {walk} of_transaction: f.transaction_id = :walk AND {no_index}f.app_id = :app_id
-- Indexes: conflicts_app, conflicts_open, conflicts_transaction.
SELECT {rows} FROM conflicts f
WHERE {walk} AND f.id > :low AND f.id < :high AND {where}
ORDER BY f.id {order} LIMIT :limit OFFSET :skip;

-- name: app_of_endpoint
-- Index: deliveries_endpoint.
SELECT app_id FROM deliveries WHERE endpoint_id = ?1 LIMIT 1;

-- name: endpoints_with_deliveries
-- Index: primary key.
SELECT DISTINCT endpoint_id FROM totals WHERE app_id = ?1 AND endpoint_id > '' LIMIT ?2;
