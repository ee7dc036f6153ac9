-- How often a callback was repeated, and when last.
CREATE INDEX callbacks_repeats ON callbacks (app_id, duplicate_of, received_at)
    WHERE duplicate_of IS NOT NULL;
