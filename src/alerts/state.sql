-- Does: tells the time of the database, and whether nodes were judged within the last seconds.
-- Params: none.
-- Index: none; one row.
-- Cost: one row.
-- Order: none.
SELECT now() AS now, EXISTS (SELECT FROM status_progress WHERE judged_at > now() - interval '15 seconds') AS is_judged
