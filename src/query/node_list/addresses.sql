-- Does: finds the addresses of nodes, by their latest sessions.
-- Params: $1 name or genesis hash of the chain or NULL, $2 rows.
-- Index: peer_connections_pkey; of a chain nodes_genesis_idx.
-- Cost: the nodes.
-- Order: none.
SELECT DISTINCT p.ip_addr FROM nodes n JOIN peer_connections p ON p.id = n.session_id
WHERE $1::text IS NULL OR n.chain = $1 OR n.genesis_hash = nullif($1, '')
LIMIT $2
