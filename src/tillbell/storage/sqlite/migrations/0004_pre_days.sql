-- Deliveries of everything by the day of their message, where there was one row for all time: so a
-- day's counters can go with its deliveries, on whichever database this store lives later.
DELETE FROM totals WHERE app_id = '' AND endpoint_id = '' AND hour = 0;
INSERT INTO totals (app_id, endpoint_id, hour, waiting, sending, succeeded, failed, discarded)
SELECT '', '', hour - hour % 86400000000, sum(waiting), sum(sending), sum(succeeded), sum(failed),
       sum(discarded)
FROM totals WHERE app_id <> '' AND endpoint_id = '' GROUP BY 3;
