-- Does: adds up what became of the blocks that the nodes of a chain built in a span of time.
-- Params: $1 genesis hash of the chain, $2 first moment, $3 moment after the last, $4 rows.
-- Index: authorings_chain_idx, blocks_time_idx, blocks_pkey.
-- Cost: the blocks of the span, and what nodes built in it.
-- Order: the most missed first, then the most made, then by peer id.
SELECT a.peer_id, max(n.name) AS name, max(i.authority_id) AS authority_id,
       count(*) FILTER (WHERE outcome = 'final') AS final, count(*) FILTER (WHERE outcome IN ('open', 'forked')) AS open,
       count(*) FILTER (WHERE outcome = 'lost') AS lost, count(*) FILTER (WHERE outcome = 'not_taken') AS not_taken, count(*) FILTER (WHERE outcome = 'not_sealed') AS not_sealed,
       max(a.height) AS last_height, max(coalesce(a.prepared_at, a.sealed_at, a.first_at)) AS last_at
FROM block_authoring($2, $3, $1) a
LEFT JOIN nodes n ON n.peer_id = a.peer_id AND n.genesis_hash = $1
LEFT JOIN LATERAL (
    SELECT i.authority_id FROM node_identities i WHERE i.peer_id = a.peer_id AND i.genesis_hash = $1 AND i.session_id = 0 ORDER BY i.last_at DESC LIMIT 1
) i ON true
GROUP BY a.peer_id
ORDER BY count(*) FILTER (WHERE outcome IN ('lost', 'not_taken', 'not_sealed')) DESC, count(*) DESC, a.peer_id
LIMIT $4
