-- What was sent with an attempt besides the body, and the head of the answer.
ALTER TABLE attempts ADD COLUMN sent_headers TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN answer_head BLOB NOT NULL DEFAULT x'';
