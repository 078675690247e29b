-- Does: tells hour by hour how many reports (system.interval, two each 5 s) of a node were due while it was connected, how many
--   arrived, and how many messages of all nodes the servers did not keep that it was connected to.
-- Params: $1 peer id, $2 first moment, $3 moment after the last, $4 rows.
-- Index: nodes_pkey, node_hours_pkey.
-- Cost: the hours of the answer, and for those with losses the sessions of the node.
-- Order: the newest hour first; that of now is not over.
SELECT h.hour, h.messages, h.intervals AS received, h.seconds_online / 5 * 2 AS expected,
       coalesce((
           SELECT sum(l.messages) FROM server_losses l
           WHERE l.hour = h.hour AND EXISTS (
               SELECT FROM peer_connections p
               WHERE p.peer_id = h.peer_id AND coalesce(p.genesis_hash, '') = h.genesis_hash AND p.server_id = l.server_id
                 AND p.created_at < h.hour + interval '1 hour' AND coalesce(p.disconnected_at, 'infinity') >= h.hour)
       ), 0)::bigint AS not_kept
FROM (
    SELECT n.peer_id, n.genesis_hash FROM nodes n WHERE n.peer_id = $1
    ORDER BY n.session_at DESC, n.session_id DESC LIMIT 1
) node
JOIN node_hours h ON h.peer_id = node.peer_id AND h.genesis_hash = node.genesis_hash
WHERE h.hour >= date_trunc('hour', $2, 'UTC') AND h.hour < $3 AND h.hour < date_trunc('hour', now(), 'UTC')
ORDER BY h.hour DESC
LIMIT $4
