-- Does: adds up the blocks of a chain in equal spans of time.
-- Params: $1 number of the chain, $2 start of the first span, $3 length of each in seconds, $4 how many.
-- Index: blocks_time_idx.
-- Cost: the blocks of all spans.
-- Order: by time.
SELECT place, s.blocks, s.forks, s.nodes, s.finalized, s.delays, s.finality
FROM generate_series(0, $4::integer - 1) AS place
CROSS JOIN LATERAL chain_blocks(
    $1, $2::timestamptz + place * $3::double precision * interval '1 second', $2::timestamptz + (place + 1) * $3::double precision * interval '1 second') AS s
WHERE s.blocks > 0
ORDER BY place
