-- Does: finds nodes with the values that they reported last.
-- Params: $1 whether they are online, $2 start and $3 number of the latest session
--   of the node after which the page begins, or NULL, $4 nodes.
-- Index: nodes_recent_idx, or that of online nodes; peer_connections_pkey.
-- Cost: one row of each table for each node.
-- Order: newest session first, so that a page continues the one before.
SELECT row_to_json(p)::text AS session, row_to_json(v)::text AS values, n.session_at, n.session_id
FROM nodes n
JOIN peer_connections p ON p.id = n.session_id
CROSS JOIN LATERAL (
    SELECT n.best_height AS height, n.best_hash, n.best_at, n.finalized_height, n.finalized_hash, n.finalized_at,
           n.peers, n.transactions, n.download_bytes_per_s, n.upload_bytes_per_s, n.state_cache_bytes
) v
WHERE n.online = $1
  AND ($2::timestamptz IS NULL OR (n.session_at, n.session_id) < ($2, $3))
  -- One peer id on several chains is shown as it was last.
  AND NOT EXISTS (
      SELECT FROM nodes other
      WHERE other.peer_id = n.peer_id AND (other.session_at, other.session_id) > (n.session_at, n.session_id)
  )
ORDER BY n.session_at DESC, n.session_id DESC
LIMIT $4
