-- Does: finds outages of our own in a span of time: those of all nodes, and of servers; of a node only of servers it was connected to.
-- Params: $1 peer id and $2 genesis hash or NULL, $3 first moment, $4 moment after the last, $5 rows.
-- Index: peer_connections_peer_idx.
-- Cost: all outages that are kept; there are few.
-- Order: the newest first.
SELECT nullif(o.server_id, '') AS server_id, o.began_at AS start_time, o.ended_at AS end_time, o.cause
FROM status_outages o
WHERE o.began_at < $4 AND (o.ended_at IS NULL OR o.ended_at > $3)
  AND ($1::text IS NULL OR o.server_id = '' OR EXISTS (
      SELECT FROM peer_connections p
      WHERE p.peer_id = $1 AND coalesce(p.genesis_hash, '') = $2 AND p.server_id = o.server_id
        AND p.created_at < coalesce(o.ended_at, 'infinity')
        AND coalesce(p.disconnected_at, 'infinity') > o.began_at - interval '10 seconds'))
ORDER BY o.began_at DESC, o.server_id
LIMIT $5
