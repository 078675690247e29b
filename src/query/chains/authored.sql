-- Does: finds the blocks that a node built in a span of time, and what became of each.
-- Params: $1 peer id, $2 first moment, $3 moment after the last, $4 rows.
-- Index: nodes_pkey, blocks_time_idx, blocks_pkey, and of authorings that by node or that by chain.
-- Cost: the blocks of the span, and what the node built in it.
-- Order: the newest first.
SELECT a.genesis_hash, a.chain, a.height, a.hash, a.prepared_at, a.sealed_at, a.first_at, a.finalized_at, a.outcome,
       coalesce(a.prepared_at, a.sealed_at, a.first_at) AS at
FROM nodes n CROSS JOIN LATERAL block_authoring($2, $3, n.genesis_hash, n.peer_id) a
WHERE n.peer_id = $1
ORDER BY at DESC, a.height DESC
LIMIT $4
