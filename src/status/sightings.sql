-- Does: tells what was seen of the nodes with an open session, and of each which it is in as few bytes as can be.
-- Params: none.
-- Index: nodes_online_idx, where most nodes are gone.
-- Cost: one row for each node with an open session.
-- Order: none.
SELECT n.session_id, hashtextextended(n.peer_id, hashtextextended(n.genesis_hash, 0)), n.last_seen_at, n.best_height, n.best_at,
       n.finalized_height, n.conflict_since
FROM nodes n
WHERE n.online
