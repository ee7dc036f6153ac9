-- What makes SQLite take the order and the index that we chose.

-- fragment: ordered_join
CROSS JOIN

-- fragment: no_index
+

-- fragment: pairs
(SELECT value ->> 0 AS app_id, value ->> 1 AS id FROM json_each(:pairs))
