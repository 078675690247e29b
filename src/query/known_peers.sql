-- Does: finds those of some peers that ever connected.
-- Params: $1 peers.
-- Index: peer_connections_peer_idx.
-- Cost: one row for each peer.
-- Order: none.
SELECT asked.peer_id
FROM unnest($1::text[]) AS asked (peer_id)
WHERE EXISTS (SELECT FROM peer_connections p WHERE p.peer_id = asked.peer_id)
