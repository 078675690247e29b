-- Does: finds the batches of some transactions.
-- Params: $1 first transaction, $2 transaction before which it ends, $3 rows.
-- Index: ingest_batches_changes_idx.
-- Cost: one row for each batch found.
-- Order: by transaction, then by number.
SELECT id, last_id, first_at, last_at, transaction_id
FROM ingest_batches
WHERE transaction_id >= $1 AND transaction_id < $2 AND last_id IS NOT NULL
ORDER BY transaction_id, id
LIMIT $3
