-- Ids that are parts of others (ids.py).

-- fragment: delivery_message
'msg_' || substr(d.id, 5, 26)

-- fragment: attempt_delivery
'dlv_' || substr(a.id, 7, 37)

-- fragment: attempt_message
'msg_' || substr(a.id, 7, 26)
