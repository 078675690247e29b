-- Does: finds nodes with the values that they reported last.
-- Params: $1 whether they are online, $2 since when at the earliest, $3 since when and $4 number of
--   the latest session of the node after which the page begins, or NULL, $5 nodes.
-- Index: nodes_since_idx, peer_connections_pkey.
-- Cost: one row of each table for each node.
-- Order: that of the index, so that a page continues the one before.
SELECT row_to_json(p)::text AS session, row_to_json(v)::text AS values, n.since, n.session_id
FROM nodes n
JOIN peer_connections p ON p.id = n.session_id
CROSS JOIN LATERAL (
    SELECT n.best_height AS height, n.best_hash, n.best_at, n.finalized_height, n.finalized_hash, n.finalized_at,
           n.peers, n.transactions, n.download_bytes_per_s, n.upload_bytes_per_s, n.state_cache_bytes
) v
WHERE n.online = $1
  AND n.since >= $2
  AND ($3::timestamptz IS NULL OR (n.since, n.session_id) < ($3, $4))
  -- One peer id on several chains is shown as it was last.
  AND NOT EXISTS (
      SELECT FROM nodes other
      WHERE other.peer_id = n.peer_id AND (other.session_at, other.session_id) > (n.session_at, n.session_id)
  )
ORDER BY n.since DESC, n.session_id DESC
LIMIT $5
