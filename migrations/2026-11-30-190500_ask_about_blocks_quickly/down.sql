CREATE OR REPLACE FUNCTION authored_blocks(from_time timestamptz, until_time timestamptz)
RETURNS TABLE (genesis_hash text, chain text, height bigint, hash text, peer_id text, first_at timestamptz, nodes integer, is_final boolean, is_lost boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT c.genesis_hash, c.name, b.height, '0x' || encode(b.hash, 'hex'), r.peer_id, b.first_at, b.nodes, b.is_final,
           NOT b.is_final AND EXISTS (SELECT FROM blocks o WHERE o.chain_id = b.chain_id AND o.height = b.height AND o.is_final)
    FROM chains c
    JOIN blocks b ON b.chain_id = c.id AND b.first_at >= from_time AND b.first_at < until_time
    JOIN block_reporters r ON r.id = b.author_id
$$;

CREATE OR REPLACE FUNCTION block_delay_quantile(counts bigint[], quantile double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH sums AS (
        SELECT i - 1 AS bucket, n, sum(n) OVER (ORDER BY i) AS up_to, sum(n) OVER () AS total
        FROM unnest(counts) WITH ORDINALITY AS c (n, i)
    )
    SELECT (low + (high - low) * greatest(0, quantile * total - (up_to - n)) / n) / 1000.0
    FROM sums
    CROSS JOIN LATERAL (SELECT
        CASE WHEN bucket = 0 THEN 0 ELSE (4 + (bucket - 1) % 4)::bigint << ((bucket - 1) / 4 + 1)::integer END::double precision AS low,
        ((4 + bucket % 4)::bigint << (bucket / 4 + 1)::integer)::double precision AS high) AS bounds
    WHERE n > 0 AND up_to >= quantile * total
    ORDER BY bucket LIMIT 1
$$;
