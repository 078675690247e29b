-- Does: adds up the blocks of a chain in equal spans of whole hours.
-- Params: $1 number of the chain, $2 start of the first span, $3 length of each in seconds, $4 how many.
-- Index: chain_hours_pkey; of hours that changed since they were added up blocks_time_idx.
-- Cost: one row for each hour, and the blocks of those that changed, as the current one.
-- Order: by time.
WITH hours AS (
    SELECT h.hour, h.blocks, h.forks, h.nodes, h.delays, h.finalized, h.finality FROM chain_hours h
    WHERE h.chain_id = $1 AND h.hour >= $2 AND h.hour < $2::timestamptz + $4::integer * $3::double precision * interval '1 second' AND NOT h.is_stale
    UNION ALL
    SELECT h.hour, s.blocks, s.forks, s.nodes, s.delays, s.finalized, s.finality
    FROM chain_hours h CROSS JOIN LATERAL chain_blocks(h.chain_id, h.hour, h.hour + interval '1 hour') AS s
    WHERE h.chain_id = $1 AND h.hour >= $2 AND h.hour < $2::timestamptz + $4::integer * $3::double precision * interval '1 second' AND h.is_stale
), placed AS MATERIALIZED (
    SELECT floor(extract(epoch FROM hour - $2) / $3)::integer AS place, * FROM hours
), counts AS (
    SELECT place, sum(blocks)::bigint AS blocks, sum(forks)::bigint AS forks, sum(nodes)::bigint AS nodes, sum(finalized)::bigint AS finalized
    FROM placed GROUP BY place
), delays AS (
    SELECT place, array_agg(n ORDER BY i) AS delays FROM (
        SELECT place, i, sum(n)::bigint AS n FROM placed CROSS JOIN LATERAL unnest(placed.delays) WITH ORDINALITY AS d (n, i) GROUP BY place, i) AS s
    GROUP BY place
), finality AS (
    SELECT place, array_agg(n ORDER BY i) AS finality FROM (
        SELECT place, i, sum(n)::bigint AS n FROM placed CROSS JOIN LATERAL unnest(placed.finality) WITH ORDINALITY AS d (n, i) GROUP BY place, i) AS s
    GROUP BY place
)
SELECT place, blocks, forks, nodes, finalized, coalesce(delays, '{}') AS delays, coalesce(finality, '{}') AS finality
FROM counts LEFT JOIN delays USING (place) LEFT JOIN finality USING (place)
ORDER BY place
