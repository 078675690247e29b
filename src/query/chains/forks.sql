-- Does: finds heights of a chain of which several blocks were seen, the latest first.
-- Params: $1 number of the chain, $2 first moment, $3 moment after the last, $4 most heights.
-- Index: chain_hours_pkey, blocks_time_idx, blocks_pkey.
-- Cost: the hours of the span, and the blocks of those with forks.
-- Order: by time of the competing block.
WITH hours AS (
    SELECT h.hour FROM chain_hours h
    WHERE h.chain_id = $1 AND h.hour > $2::timestamptz - interval '1 hour' AND h.hour < $3 AND (h.is_stale OR h.forks > 0)
), heights AS (
    SELECT b.height, max(b.first_at) AS at
    FROM hours h JOIN blocks b ON b.chain_id = $1 AND b.first_at >= greatest(h.hour, $2) AND b.first_at < least(h.hour + interval '1 hour', $3)
    WHERE EXISTS (SELECT FROM blocks o WHERE o.chain_id = b.chain_id AND o.height = b.height AND (o.first_at, o.hash) < (b.first_at, b.hash))
    GROUP BY b.height ORDER BY at DESC, b.height DESC LIMIT $4
)
SELECT f.height, f.at AS forked_at, jsonb_agg(jsonb_build_object(
           'hash', '0x' || encode(b.hash, 'hex'), 'first_at', b.first_at, 'first_peer_id', r.peer_id, 'author_peer_id', a.peer_id,
           'nodes', b.nodes, 'is_final', b.is_final) ORDER BY b.first_at, b.hash) AS blocks
FROM heights f
JOIN blocks b ON b.chain_id = $1 AND b.height = f.height
JOIN block_reporters r ON r.id = b.first_reporter_id
LEFT JOIN block_reporters a ON a.id = b.author_id
GROUP BY f.height, f.at
ORDER BY f.at DESC, f.height DESC
