-- What was sent with an attempt besides the body, and the head of the answer.
ALTER TABLE attempts ADD COLUMN sent_headers text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN answer_head bytea NOT NULL DEFAULT '';
