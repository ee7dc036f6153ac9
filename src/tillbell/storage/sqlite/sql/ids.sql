-- Ids that are parts of others: computed columns.

-- fragment: delivery_message
d.message_id

-- fragment: attempt_delivery
a.delivery_id

-- fragment: attempt_message
a.message_id
