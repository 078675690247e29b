-- Does: lists the latest sessions of a peer.
-- Params: $1 peer id, $2 rows, $3 start and $4 number of the session after which the page
--   begins, or NULL.
-- Index: peer_connections_peer_idx.
-- Cost: the rows of the answer.
-- Order: newest first; id breaks ties.
SELECT *, disconnected_at IS NULL AS online
FROM peer_connections
WHERE peer_id = $1
  AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
ORDER BY created_at DESC, id DESC
LIMIT $2
