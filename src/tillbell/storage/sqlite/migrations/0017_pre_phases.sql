-- Where the time of an attempt went (model/phases.py); '': it was not measured.
ALTER TABLE attempts ADD COLUMN phases TEXT NOT NULL DEFAULT '';
