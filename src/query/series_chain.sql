-- Does: chooses nodes of a chain, those that were there for the longest part of
--   a range of time, and lists their sessions in the range.
-- Params: $1 genesis hash, $2 peer that is left out, $3 start and $4 end (not
--   part of it) of the range, $5 nodes, $6 sessions that are looked at.
-- Index: peer_connections_chain_idx.
-- Cost: the newest $6 sessions of the chain that began before the end.
-- Order: by node, its newest session first; id breaks ties.
WITH there AS (
    SELECT *, least(coalesce(disconnected_at, $4), $4) - greatest(created_at, $3) AS stay
    FROM (
        SELECT id, peer_id, genesis_hash, ip_addr, created_at, last_seen_at, disconnected_at
        FROM peer_connections
        WHERE genesis_hash = $1 AND created_at < $4
        ORDER BY created_at DESC
        LIMIT $6
    ) newest
    WHERE (disconnected_at IS NULL OR disconnected_at >= $3) AND peer_id <> $2
)
SELECT id, peer_id, genesis_hash, ip_addr, created_at, last_seen_at, disconnected_at IS NULL AS online
FROM there
JOIN (SELECT peer_id FROM there GROUP BY peer_id ORDER BY sum(stay) DESC, peer_id LIMIT $5) chosen USING (peer_id)
ORDER BY peer_id, created_at DESC, id DESC
