-- Does: lists the open sessions of other servers, with the state of each.
-- Params: $1 name of this server.
-- Index: peer_connections_open_idx.
-- Cost: one row for each open session.
-- Order: none.
SELECT id, revision
FROM peer_connections
WHERE disconnected_at IS NULL AND server_id <> $1
