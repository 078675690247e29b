-- Does: ends open sessions of servers that are gone.
-- Params: $1 this server, $2 whether it starts just now (then its own open
--   sessions are left over from before), $3 reason.
-- Index: peer_connections_open_idx.
-- Cost: the open sessions.
-- Order: none.
-- The end is the last sign of the node; the revision stays, so that a server
-- that was only slow to say that it lives opens its sessions again.
UPDATE peer_connections p
SET disconnected_at = last_seen_at, disconnect_reason = $3
WHERE disconnected_at IS NULL
  AND CASE
      WHEN p.server_id = $1 THEN $2
      -- Five heartbeats missed.
      ELSE NOT EXISTS (SELECT FROM servers s WHERE s.id = p.server_id AND s.heartbeat_at > now() - interval '5 minutes')
  END
