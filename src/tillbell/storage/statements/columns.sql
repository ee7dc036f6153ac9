-- Columns in the order of the nouns' fields (models.py).

-- fragment: message
m.id, m.app_id, m.event_type, m.created_at, m.event_id, m.channels, m.tags, m.deliver_at,
m.order_key, m.expires_at

-- fragment: delivery
d.id, d.app_id, d.endpoint_id, d.message_id, d.variant, d.state, d.due_at, d.created_at,
d.attempts, d.tries, d.token, d.trigger, d.started_at, d.order_key

-- fragment: attempt
a.id, a.delivery_id, a.app_id, a.endpoint_id, a.message_id, a.event_type, a.number, a.trigger,
a.result, a.started_at, a.duration_us, a.url, a.status_code, a.error, a.detail, a.response
