-- Does: finds the batches of other servers that a snapshot does not see.
-- Params: $1 first transaction after the snapshot, $2 transactions that ran at
--   its time, $3 name of this server, $4 rows.
-- Index: ingest_batches_changes_idx.
-- Cost: one row for each batch since the snapshot.
-- Order: by transaction, then by number.
SELECT id, last_id, first_at, last_at, transaction_id,
       (sum(last_id - id + 1) OVER ())::bigint AS messages
FROM (
    SELECT * FROM ingest_batches WHERE transaction_id >= $1
    UNION ALL
    SELECT * FROM ingest_batches WHERE transaction_id = ANY($2)
) batch
WHERE last_id IS NOT NULL AND server_id <> $3
ORDER BY transaction_id, id
LIMIT $4
