-- Does: lists the versions of the nodes of some chains that are online.
-- Params: $1 names or genesis hashes of the chains, $2 rows.
-- Index: nodes_online_idx, peer_connections_pkey.
-- Cost: the nodes that are online.
-- Order: none.
SELECT n.peer_id, n.genesis_hash, n.name, n.chain, p.version
FROM nodes n
JOIN peer_connections p ON p.id = n.session_id
WHERE n.online AND (n.genesis_hash = ANY($1) OR n.chain = ANY($1)) AND p.version IS NOT NULL
LIMIT $2
