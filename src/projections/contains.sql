-- Does: checks whether a projection contains all changes before a transaction.
-- Params: $1 name, $2 transaction.
-- Index: projections_pkey, ingest_batches_changes_idx, peer_connections_changes_idx.
-- Cost: at most one row of each table.
-- Order: none.
-- A position stays behind while there is nothing new, so what is new is looked for.
SELECT coalesce((
    SELECT position IS NOT NULL
       AND NOT EXISTS (SELECT FROM ingest_batches b WHERE b.transaction_id >= position AND b.transaction_id < $2)
       AND NOT EXISTS (SELECT FROM peer_connections p WHERE p.transaction_id >= position AND p.transaction_id < $2)
    FROM projections
    WHERE name = $1
), false) AS contains
