-- Does: finds the nodes, each peer id by its latest session.
-- Params: $1 name or genesis hash of the chain or NULL, $2 name or NULL, $3 online or NULL,
--   $4 rows.
-- Index: nodes_recent_idx and peer_connections_pkey; with a filter that of its column.
-- Cost: one row of each table for each node of the answer.
-- Order: newest session first; id is unique.
SELECT p.*, p.disconnected_at IS NULL AS online
FROM nodes n
JOIN peer_connections p ON p.id = n.session_id
-- Old nodes have an empty genesis hash.
WHERE ($1::text IS NULL OR n.chain = $1 OR n.genesis_hash = nullif($1, ''))
  AND ($2::text IS NULL OR n.name = $2)
  AND ($3::boolean IS NULL OR n.online = $3)
  AND ($3::boolean IS NULL OR (p.disconnected_at IS NULL) = $3)
  -- One peer id on several chains is shown as it was last.
  AND NOT EXISTS (
      SELECT FROM nodes other
      WHERE other.peer_id = n.peer_id AND (other.session_at, other.session_id) > (n.session_at, n.session_id)
  )
ORDER BY n.session_at DESC, n.session_id DESC
LIMIT $4
