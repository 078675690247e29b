-- Does: lists the sessions that may have messages since a time.
-- Params: $1 peer or NULL, $2 name or genesis hash of the chain or NULL, $3 time.
-- Index: peer_connections_peer_idx with a peer, else peer_connections_open_idx
--   and peer_connections_ended_idx.
-- Cost: one row for each session.
-- Order: none.
SELECT id, server_id, peer_id, name, chain, genesis_hash
FROM peer_connections
WHERE (disconnected_at IS NULL OR disconnected_at >= $3)
  AND ($1::text IS NULL OR peer_id = $1)
  AND ($2::text IS NULL OR chain = $2 OR genesis_hash = $2)
