-- PostgreSQL chooses order and index itself, by what it knows of the tables.

-- fragment: ordered_join
JOIN

-- fragment: no_index

-- fragment: pairs
(SELECT pair ->> 0 AS app_id, pair ->> 1 AS id FROM jsonb_array_elements(:pairs::jsonb) AS pair)
