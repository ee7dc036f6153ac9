-- PostgreSQL chooses order and index itself, by what it knows of the tables.

-- fragment: then
JOIN

-- fragment: aside
