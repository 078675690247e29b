-- Does: tells how far the projection of the nodes is: its position, NULL while it is built, and
--   for how many seconds the first batch is stored that it does not contain; and when nodes were
--   judged last.
-- Params: none.
-- Index: projections_pkey, ingest_batches_changes_idx, status_progress_pkey.
-- Cost: one row of each table.
-- Order: none.
SELECT clock_timestamp() AS now, p.position, s.judged_at,
       greatest(0, extract(epoch FROM clock_timestamp() - (
           SELECT b.stored_at FROM ingest_batches b WHERE b.transaction_id >= p.position ORDER BY b.transaction_id, b.id LIMIT 1
       )))::double precision AS lag_s
FROM projections p
LEFT JOIN status_progress s ON s.name = 'nodes'
WHERE p.name = 'nodes'
