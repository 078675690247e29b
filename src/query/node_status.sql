-- Does: tells the status of a node, and its uptime in a span of time; of one that is not in the projection yet, whether it is
--   connected.
-- Params: $1 peer id, $2 first moment, $3 moment after the last.
-- Index: nodes_pkey, node_status_pkey, status_changes_node_idx, peer_connections_peer_idx.
-- Cost: the changes of the node in the span, and its sessions at outages of servers.
-- Order: of several chains the one where it was last.
WITH projected AS (
    SELECT n.peer_id, n.genesis_hash, n.name, n.chain, n.last_seen_at, n.online, n.since, n.session_id
    FROM nodes n
    WHERE n.peer_id = $1
    ORDER BY n.session_at DESC, n.session_id DESC LIMIT 1
), fresh AS (
    SELECT p.peer_id, coalesce(p.genesis_hash, '') AS genesis_hash, p.name, p.chain, p.last_seen_at, p.disconnected_at IS NULL AS online,
           coalesce(p.disconnected_at, p.created_at) AS since, p.id AS session_id
    FROM peer_connections p
    WHERE p.peer_id = $1 AND NOT EXISTS (SELECT FROM projected)
    ORDER BY p.peer_id, p.created_at DESC, p.id DESC LIMIT 1
)
SELECT n.peer_id, n.genesis_hash, n.name, n.chain, n.last_seen_at, n.session_id, n.online,
       coalesce(s.state, CASE WHEN n.online THEN 'online' ELSE 'offline' END) AS state, s.reason,
       coalesce(s.since, n.since) AS since, s.judged_from, u.uptime, u.judged_s, u.down_s, u.own_outage_s
FROM (SELECT * FROM projected UNION ALL SELECT * FROM fresh) n
LEFT JOIN node_status s ON s.peer_id = n.peer_id AND s.genesis_hash = n.genesis_hash
LEFT JOIN LATERAL node_uptime(n.peer_id, n.genesis_hash, $2, $3) u ON true
