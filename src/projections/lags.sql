-- Does: measures how far each projection is behind the log, in seconds: for how long the
--   first batch is stored that it does not contain; 0 if it contains all. While it is
--   built, the age of the messages that come next.
-- Params: none.
-- Index: ingest_batches_changes_idx.
-- Cost: the rows of projections, and one batch for each.
-- Order: none.
-- A batch counts as soon as it is stored, also while an older transaction still runs
-- and keeps it from being read.
SELECT p.name, greatest(0, extract(epoch FROM clock_timestamp() - CASE
    WHEN p.position IS NULL THEN coalesce(p.built_until, p.updated_at)
    ELSE (SELECT b.stored_at FROM ingest_batches b WHERE b.transaction_id >= p.position ORDER BY b.transaction_id, b.id LIMIT 1)
END))::double precision AS seconds
FROM projections p
