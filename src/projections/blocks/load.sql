-- Does: reads blocks that were written, with the arrivals that are still kept.
-- Params: $1 chains, $2 heights, $3 hashes of the same blocks.
-- Index: blocks_pkey, block_arrivals_pkey, block_reporters_pkey.
-- Cost: the blocks asked for.
-- Order: none.
SELECT b.chain_id, b.height, b.hash, b.first_at, f.peer_id AS first_peer_id, f.server_id AS first_server_id,
       o.peer_id AS author_peer_id, o.server_id AS author_server_id, a.arrivals
FROM unnest($1::integer[], $2::bigint[], $3::bytea[]) AS k (chain_id, height, hash)
JOIN blocks b ON b.chain_id = k.chain_id AND b.height = k.height AND b.hash = k.hash
JOIN block_reporters f ON f.id = b.first_reporter_id
LEFT JOIN block_reporters o ON o.id = b.author_id
LEFT JOIN block_arrivals a ON a.chain_id = k.chain_id AND a.height = k.height AND a.hash = k.hash
