-- The Content-Type of a payload that is a text; NULL: a JSON object.

ALTER TABLE messages ADD COLUMN content_type text COLLATE "C";
