-- Does: lists the latest sessions of a peer.
-- Params: $1 peer id, $2 rows.
-- Index: peer_connections_peer_idx.
-- Cost: the rows of the answer.
-- Order: newest first; id breaks ties.
SELECT *, disconnected_at IS NULL AS online
FROM peer_connections
WHERE peer_id = $1
ORDER BY created_at DESC, id DESC
LIMIT $2
