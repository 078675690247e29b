-- Does: lists the nodes with an open session, and of some others those without.
-- Params: $1 peer ids and $2 genesis hashes of the others.
-- Index: nodes_online_idx, nodes_pkey.
-- Cost: one row for each node with an open session, and for each other that is asked for.
-- Order: none.
SELECT n.peer_id, n.genesis_hash, n.chain, n.server_id, n.last_seen_at, NULL::timestamptz AS ended_at, NULL::text AS disconnect_reason,
       n.best_height, n.best_at, n.finalized_height, n.conflict_since
FROM nodes n
WHERE n.online
UNION ALL
SELECT n.peer_id, n.genesis_hash, n.chain, n.server_id, n.last_seen_at, n.since, n.disconnect_reason,
       n.best_height, n.best_at, n.finalized_height, n.conflict_since
FROM unnest($1::text[], $2::text[]) AS k (peer_id, genesis_hash)
JOIN nodes n ON n.peer_id = k.peer_id AND n.genesis_hash = k.genesis_hash
WHERE NOT n.online
