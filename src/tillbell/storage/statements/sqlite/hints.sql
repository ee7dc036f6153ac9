-- What makes SQLite take the order and the index that we chose.

-- fragment: then
CROSS JOIN

-- fragment: aside
+
