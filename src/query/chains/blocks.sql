-- Does: finds blocks of a chain, the highest first, with who saw them first.
-- Params: $1 number of the chain, $2 highest number of a block, $3 arrival after which they come among those of that number or
--   NULL, $4 first moment and $5 moment after the last or NULL, $6 rows.
-- Index: blocks_pkey.
-- Cost: the rows of the answer, and those between them that are outside of the span of time.
-- Order: by height, then by arrival.
SELECT b.height, '0x' || encode(b.hash, 'hex') AS hash, b.first_at, r.peer_id AS first_peer_id, f.name AS first_name, r.server_id AS first_server_id,
       a.peer_id AS author_peer_id, o.name AS author_name, b.nodes, b.own, b.broadcast, b.other,
       block_delay_quantile(b.delays, 0.5) AS p50_s, block_delay_quantile(b.delays, 0.95) AS p95_s,
       b.finalized_at, extract(epoch FROM b.finalized_at - b.first_at)::double precision AS finality_s, b.is_final,
       -- EXISTS would be answered with a hash of all blocks that are final.
       NOT b.is_final AND coalesce((SELECT true FROM blocks s WHERE s.chain_id = b.chain_id AND s.height = b.height AND s.is_final LIMIT 1), false) AS is_lost
FROM blocks b
JOIN block_reporters r ON r.id = b.first_reporter_id
LEFT JOIN block_reporters a ON a.id = b.author_id
LEFT JOIN nodes f ON f.peer_id = r.peer_id AND f.genesis_hash = (SELECT c.genesis_hash FROM chains c WHERE c.id = $1)
LEFT JOIN nodes o ON o.peer_id = a.peer_id AND o.genesis_hash = (SELECT c.genesis_hash FROM chains c WHERE c.id = $1)
WHERE b.chain_id = $1 AND b.height <= $2
  AND ($3::timestamptz IS NULL OR b.height < $2 OR b.first_at > $3)
  AND ($4::timestamptz IS NULL OR b.first_at >= $4)
  AND ($5::timestamptz IS NULL OR b.first_at < $5)
ORDER BY b.height DESC, b.first_at, b.hash
LIMIT $6
