-- Does: adds up how fast the blocks of chains spread and became final since midnight UTC, up to a minute ago.
-- Params: $1 name or genesis hash of the chain or NULL, $2 most chains.
-- Index: chain_hours_pkey, blocks_time_idx.
-- Cost: the hours of the day, and the blocks of the current one.
-- Order: the chains with the most blocks today first.
WITH span AS (
    SELECT date_trunc('day', now() - interval '1 minute', 'UTC') AS start, now() - interval '1 minute' AS until
), hours AS MATERIALIZED (
    SELECT h.* FROM chain_hours h, chains c, span
    WHERE c.id = h.chain_id AND h.hour >= span.start AND h.hour < span.until AND ($1::text IS NULL OR c.name = $1 OR c.genesis_hash = $1)
), parts AS MATERIALIZED (
    SELECT h.chain_id, h.blocks, h.delays, h.finality FROM hours h, span WHERE NOT h.is_stale AND h.hour + interval '1 hour' <= span.until
    UNION ALL
    SELECT h.chain_id, s.blocks, s.delays, s.finality
    FROM hours h CROSS JOIN span CROSS JOIN LATERAL chain_blocks(h.chain_id, h.hour, least(h.hour + interval '1 hour', span.until)) AS s
    WHERE h.is_stale OR h.hour + interval '1 hour' > span.until
), asked AS (
    SELECT chain_id, sum(blocks) AS blocks FROM parts GROUP BY chain_id ORDER BY blocks DESC, chain_id LIMIT $2
)
SELECT c.genesis_hash, coalesce(c.name, '') AS chain,
       coalesce((SELECT array_agg(n ORDER BY i) FROM (
           SELECT i, sum(n)::bigint AS n FROM parts p CROSS JOIN LATERAL unnest(p.delays) WITH ORDINALITY AS d (n, i) WHERE p.chain_id = a.chain_id GROUP BY i) AS s), '{}') AS delays,
       coalesce((SELECT array_agg(n ORDER BY i) FROM (
           SELECT i, sum(n)::bigint AS n FROM parts p CROSS JOIN LATERAL unnest(p.finality) WITH ORDINALITY AS d (n, i) WHERE p.chain_id = a.chain_id GROUP BY i) AS s), '{}') AS finality
FROM asked a JOIN chains c ON c.id = a.chain_id
ORDER BY a.blocks DESC, a.chain_id
