-- Does: counts the nodes of a chain that are there, or were within a day, by their addresses.
-- Params: $1 genesis hash.
-- Index: nodes_genesis_idx, peer_connections_pkey.
-- Cost: the nodes of the chain.
-- Order: none.
SELECT p.ip_addr, count(*) AS nodes
FROM nodes n JOIN peer_connections p ON p.id = n.session_id
WHERE n.genesis_hash = $1 AND (n.online OR n.last_seen_at > now() - interval '1 day')
GROUP BY p.ip_addr
