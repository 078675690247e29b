-- Does: finds the sessions of other servers whose newest state a snapshot does not see.
-- Params: $1 first transaction after the snapshot, $2 transactions that ran at
--   its time, $3 name of this server.
-- Index: peer_connections_changes_idx.
-- Cost: one row for each session that changed since the snapshot.
-- Order: none.
SELECT id FROM peer_connections WHERE transaction_id >= $1 AND server_id <> $3
UNION ALL
SELECT id FROM peer_connections WHERE transaction_id = ANY($2) AND server_id <> $3
