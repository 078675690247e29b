-- Does: finds the sessions that some transactions changed last.
-- Params: $1 first transaction, $2 transaction before which it ends.
-- Index: peer_connections_changes_idx.
-- Cost: one row for each session found.
-- Order: by number.
SELECT row_to_json(p)::text AS session
FROM peer_connections p
WHERE transaction_id >= $1 AND transaction_id < $2
ORDER BY id
