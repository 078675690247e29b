-- Does: finds batches that other servers stored lately.
-- Params: $1 name of this server, $2 lowest number of their transaction,
--   $3 seconds back.
-- Index: ingest_batches_stored_idx.
-- Cost: the batches of that time.
-- Order: none; the caller sorts them.
SELECT id, last_id, first_at, last_at, transaction_id,
       stored_at > now() - interval '15 seconds' AS is_recent,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS floor
FROM ingest_batches
WHERE stored_at > now() - make_interval(secs => $3)
  AND transaction_id >= $2
  AND server_id <> $1
