-- Does: reads nodes: those with an open session that is one of some sessions, and some others.
-- Params: $1 sessions; $2 peer ids and $3 genesis hashes of the others.
-- Index: nodes_online_idx, nodes_pkey.
-- Cost: the keys of the open sessions, and one row for each node that is asked for; one that is asked for both ways comes twice.
-- Order: none.
SELECT n.peer_id, n.genesis_hash, n.session_id, hashtextextended(n.peer_id, hashtextextended(n.genesis_hash, 0)) AS digest, n.chain, n.server_id,
       n.last_seen_at, NULL::timestamptz AS ended_at, NULL::text AS disconnect_reason, n.best_height, n.best_at, n.finalized_height, n.conflict_since
FROM nodes n
WHERE n.online AND n.session_id = ANY($1)
UNION ALL
SELECT n.peer_id, n.genesis_hash, n.session_id, hashtextextended(n.peer_id, hashtextextended(n.genesis_hash, 0)), n.chain, n.server_id,
       n.last_seen_at, CASE WHEN NOT n.online THEN n.since END, n.disconnect_reason, n.best_height, n.best_at, n.finalized_height, n.conflict_since
FROM unnest($2::text[], $3::text[]) AS k (peer_id, genesis_hash)
JOIN nodes n ON n.peer_id = k.peer_id AND n.genesis_hash = k.genesis_hash
