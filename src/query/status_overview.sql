-- Does: counts the nodes of each chain by status, without those that went offline more than a day ago, and tells the blocks
--   that a fair part of its nodes has (the one after a quarter of them, and not the topmost of several), and whether
--   telemetry of most of them is lost.
-- Params: none.
-- Index: nodes_online_idx, node_status_watched_idx, node_status_offline_idx, nodes_pkey, node_status_pkey.
-- Cost: the nodes that are there, or were within a day.
-- Order: the chains with the most nodes first.
WITH here AS (
    SELECT n.genesis_hash, n.chain, n.best_height, n.finalized_height, coalesce(s.state, 'online') AS state
    FROM nodes n LEFT JOIN node_status s ON s.peer_id = n.peer_id AND s.genesis_hash = n.genesis_hash
    WHERE n.online
    UNION ALL
    SELECT n.genesis_hash, n.chain, NULL, NULL, s.state
    FROM node_status s JOIN nodes n ON n.peer_id = s.peer_id AND n.genesis_hash = s.genesis_hash
    WHERE s.state <> 'offline' AND NOT n.online
    UNION ALL
    SELECT n.genesis_hash, n.chain, NULL, NULL, s.state
    FROM node_status s JOIN nodes n ON n.peer_id = s.peer_id AND n.genesis_hash = s.genesis_hash
    WHERE s.state = 'offline' AND s.changed_at > now() - interval '1 day' AND NOT n.online
), chains AS (
    SELECT h.genesis_hash, CASE WHEN h.genesis_hash = '' THEN coalesce(h.chain, '') ELSE '' END AS key,
           max(h.chain) AS chain, count(*) AS nodes,
           array_agg(h.best_height ORDER BY h.best_height DESC) FILTER (WHERE h.best_height BETWEEN 0 AND 4294967295) AS best,
           array_agg(h.finalized_height ORDER BY h.finalized_height DESC) FILTER (WHERE h.finalized_height BETWEEN 0 AND 4294967295) AS finalized
    FROM here h
    GROUP BY 1, 2
), states AS (
    SELECT genesis_hash, key, jsonb_object_agg(state, nodes) AS states
    FROM (SELECT genesis_hash, CASE WHEN genesis_hash = '' THEN coalesce(chain, '') ELSE '' END AS key, state, count(*) AS nodes FROM here GROUP BY 1, 2, 3) s
    GROUP BY 1, 2
)
SELECT nullif(c.genesis_hash, '') AS genesis_hash, c.chain, c.nodes, s.states,
       chain_height(c.best) AS best_height,
       chain_height(c.finalized) AS finalized_height,
       coalesce(e.state, 'online') AS state, e.since
FROM chains c
JOIN states s ON s.genesis_hash = c.genesis_hash AND s.key = c.key
LEFT JOIN chain_status e ON e.genesis_hash = c.genesis_hash AND e.chain = c.key
ORDER BY c.nodes DESC, c.genesis_hash, c.key
LIMIT 1000
