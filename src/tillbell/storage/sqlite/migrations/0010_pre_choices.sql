-- Which transaction a callback means may be asked; conflicts about more hold what accepting books.

ALTER TABLE conflicts ADD COLUMN reference TEXT;
ALTER TABLE conflicts ADD COLUMN candidates TEXT;      -- ids, as labels; NULL: none

UPDATE conflicts SET amount = conflicts.amount - t.credited
FROM transactions t
WHERE t.id = conflicts.transaction_id AND t.app_id = conflicts.app_id
  AND t.kind = 'payment' AND t.status = 'Approved'
  AND conflicts.kind = 'mismatch' AND conflicts.resolved_at IS NULL
  AND conflicts.currency = t.currency AND conflicts.amount > t.credited
  AND (conflicts.why LIKE 'It says %' OR conflicts.why LIKE '% is captured in all, %');
