-- Does: deletes nodes whose sessions are all purged, with their status.
-- Params: $1 time since when they were not seen, $2 most nodes.
-- Index: peer_connections_pkey, node_status_pkey.
-- Cost: the nodes that are not online.
-- Order: none.
WITH gone AS (
    DELETE FROM nodes WHERE ctid = ANY(ARRAY(
        SELECT n.ctid FROM nodes n
        WHERE NOT n.online AND n.last_seen_at < $1
          AND NOT EXISTS (SELECT FROM peer_connections p WHERE p.id = n.session_id)
        LIMIT $2))
    RETURNING peer_id, genesis_hash
), status AS (
    DELETE FROM node_status s USING gone g
    WHERE s.peer_id = g.peer_id AND s.genesis_hash = g.genesis_hash
)
SELECT count(*) AS nodes FROM gone
