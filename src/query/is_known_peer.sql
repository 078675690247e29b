-- Does: tells whether a peer ever connected.
-- Params: $1 peer id.
-- Index: peer_connections_peer_idx.
-- Cost: one row.
-- Order: none.
SELECT EXISTS (SELECT FROM peer_connections WHERE peer_id = $1) AS known
