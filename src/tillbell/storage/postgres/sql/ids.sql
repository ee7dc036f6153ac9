-- Ids that are parts of others (ids.py).

-- fragment: delivery_message
'msg_' || substr(d.id, 5, 26)

-- fragment: attempt_delivery
'dlv_' || substr(a.id, 7, 37)

-- fragment: attempt_message
'msg_' || substr(a.id, 7, 26)

-- What belongs to each, one after the other (OFFSET 0 keeps it so), whatever the planner believes of
-- how many there are: a plan that was made while there were few is kept, and compares all with all.

-- fragment: message_of_delivery
CROSS JOIN LATERAL (
    SELECT * FROM messages
    WHERE messages.app_id = d.app_id AND messages.id = {delivery_message} OFFSET 0) m

-- fragment: message_of_attempt
CROSS JOIN LATERAL (
    SELECT * FROM messages
    WHERE messages.app_id = a.app_id AND messages.id = {attempt_message} OFFSET 0) m
