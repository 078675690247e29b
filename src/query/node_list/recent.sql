-- Does: takes the place of all nodes in list.sql: those that are online, whose last session ended at $15 or later, or that are watched.
-- Params: $15 as there.
-- Index: nodes_online_idx, nodes_since_idx, node_status_watched_idx.
-- Cost: the rows that it finds.
-- Order: none.
(
    SELECT * FROM nodes WHERE online
    UNION ALL
    SELECT * FROM nodes WHERE NOT online AND since >= $15
    UNION ALL
    SELECT n.* FROM node_status w JOIN nodes n ON n.peer_id = w.peer_id AND n.genesis_hash = w.genesis_hash
    WHERE w.state <> 'offline' AND NOT n.online AND n.since < $15
)
