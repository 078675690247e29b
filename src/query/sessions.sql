-- Does: lists the sessions of a peer, with what bounds the times of their messages.
-- Params: $1 peer id.
-- Index: peer_connections_peer_idx.
-- Cost: one row for each session of the peer; retention removes those without messages.
-- Order: newest first; id breaks ties.
SELECT id, ip_addr, created_at, last_seen_at, disconnected_at IS NULL AS online, genesis_hash
FROM peer_connections
WHERE peer_id = $1
ORDER BY created_at DESC, id DESC
