-- Does: ends the open sessions of some servers.
-- Params: $1 servers, $2 reason.
-- Index: peer_connections_open_idx.
-- Cost: the open sessions of those servers.
-- Order: none.
UPDATE peer_connections
SET disconnected_at = last_seen_at, disconnect_reason = $2
WHERE disconnected_at IS NULL AND server_id = ANY($1)
