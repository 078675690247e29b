-- Does: finds heights of a chain of which several blocks were seen, the latest first.
-- Params: $1 number of the chain, $2 first moment, $3 moment after the last, $4 most heights.
-- Index: chain_hours_pkey, blocks_time_idx, blocks_pkey.
-- Cost: the hours of the span, and the blocks of the latest of those with forks, until there are enough heights.
-- Order: by time of the competing block.
WITH heights AS (
    SELECT b.height, b.first_at AS at
    FROM chain_hours h
    CROSS JOIN LATERAL (
        SELECT b.height, b.first_at FROM blocks b
        WHERE b.chain_id = $1 AND b.first_at >= greatest(h.hour, $2) AND b.first_at < least(h.hour + interval '1 hour', $3)
          AND EXISTS (SELECT FROM blocks o WHERE o.chain_id = b.chain_id AND o.height = b.height AND (o.first_at, o.hash) < (b.first_at, b.hash))
          -- Each height once, with its last block.
          AND NOT EXISTS (SELECT FROM blocks o WHERE o.chain_id = b.chain_id AND o.height = b.height AND (o.first_at, o.hash) > (b.first_at, b.hash) AND o.first_at < $3)
        OFFSET 0
    ) b
    WHERE h.chain_id = $1 AND h.hour > $2::timestamptz - interval '1 hour' AND h.hour < $3 AND (h.is_stale OR h.forks > 0)
    ORDER BY h.hour DESC, b.first_at DESC, b.height DESC LIMIT $4
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
