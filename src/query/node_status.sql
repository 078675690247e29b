-- Does: tells the status of a node, and its uptime in a span of time.
-- Params: $1 peer id, $2 first moment, $3 moment after the last.
-- Index: nodes_pkey, node_status_pkey, status_changes_node_idx.
-- Cost: the changes of the node in the span, and its sessions at outages of servers.
-- Order: of several chains the one where it was last.
SELECT n.peer_id, n.genesis_hash, n.name, n.chain, n.last_seen_at,
       coalesce(s.state, CASE WHEN n.online THEN 'online' ELSE 'offline' END) AS state, s.reason,
       coalesce(s.since, n.since) AS since, s.judged_from, u.uptime, u.judged_s, u.down_s, u.own_outage_s
FROM nodes n
LEFT JOIN node_status s ON s.peer_id = n.peer_id AND s.genesis_hash = n.genesis_hash
LEFT JOIN LATERAL node_uptime(n.peer_id, n.genesis_hash, $2, $3) u ON true
WHERE n.peer_id = $1
ORDER BY n.session_at DESC, n.session_id DESC
LIMIT 1
