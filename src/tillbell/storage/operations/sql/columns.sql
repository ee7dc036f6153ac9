-- Columns in the order of the records' fields (model/messages.py).

-- fragment: message
m.id, m.app_id, m.event_type, m.created_at, m.event_id, m.channels, m.tags, m.deliver_at,
m.order_key, m.expires_at, m.content_type

-- fragment: delivery
d.id, d.app_id, d.endpoint_id, {delivery_message}, d.variant, d.state, d.due_at, d.created_at,
d.attempts, d.tries, d.token, d.trigger, d.started_at, d.order_key

-- fragment: attempt
a.id, {attempt_delivery}, a.app_id, a.endpoint_id, {attempt_message}, a.event_type, a.number, a.trigger,
a.result, a.started_at, a.duration_us, a.url, a.status_code, a.error, a.detail, a.response,
a.sent_headers, a.answer_head, a.phases

-- Columns of callbacks and money (model/callbacks.py, model/transactions.py).

-- fragment: callback
c.id, c.app_id, c.source_id, c.provider, c.received_at, c.method, c.size, c.trust, c.verdict_why,
c.dedupe_key, c.outcome, c.why, c.duplicate_of, c.transaction_id, c.message_ids, c.processed_at,
c.retry_at, c.hops

-- fragment: transaction
t.id, t.app_id, t.direction, t.kind, t.status, t.amount, t.currency, t.created_at, t.updated_at,
t.uid, t.sequence, t.version, t.previous_status, t.substate, t.reason, t.raw_status, t.message,
t.settlement_amount, t.settlement_currency, t.psp_transaction_id, t.psp_reference, t.provider,
t.source_id, t.user_id, t.merchant_reference, t.order_id, t.parent_id, t.metadata, t.reserves,
t.news_at, t.news_sequence, t.check_at, t.checks, t.if_silent, t.authorized, t.captured, t.credited,
t.refunded, t.charged_back, t.reinstated, t.reversed, t.attempts, t.movement_id

-- fragment: transition
s.transaction_id, s.sequence, s.previous_status, s.status, s.at, s.callback_id, s.actor, s.substate,
s.reason, s.raw_status, s.message, s.trust, s.supersedes, s.details

-- fragment: effect
e.transaction_id, e.kind, e.sequence, e.amount, e.currency, e.at, e.callback_id

-- fragment: conflict
f.id, f.app_id, f.transaction_id, f.status, f.current, f.at, f.severity, f.kind, f.callback_id,
f.amount, f.currency, f.why, f.resolved_at, f.resolution, f.resolved_by, f.resolution_reason, f.reference,
f.candidates

-- fragment: audit_entry
u.id, u.app_id, u.at, u.actor, u.action, u.target, u.reason, u.details
