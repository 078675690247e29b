CREATE OR REPLACE FUNCTION chain_blocks(of_chain_id integer, from_time timestamptz, until_time timestamptz)
RETURNS TABLE (blocks bigint, heights bigint, forks bigint, nodes bigint, delays bigint[], finalized bigint, finality bigint[])
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH found AS MATERIALIZED (
        SELECT b.height, b.hash, b.nodes, b.delays, b.first_at, b.finalized_at FROM blocks b
        WHERE b.chain_id = of_chain_id AND b.first_at >= from_time AND b.first_at < until_time
    ), spread AS (
        SELECT i, sum(n) AS n FROM found CROSS JOIN LATERAL unnest(found.delays) WITH ORDINALITY AS d (n, i) GROUP BY i
    ), waits AS (
        SELECT width_bucket(greatest(0, floor(extract(epoch FROM found.finalized_at - found.first_at) * 1000))::bigint, block_delay_bounds()) + 1 AS i, count(*) AS n
        FROM found WHERE found.finalized_at IS NOT NULL GROUP BY 1
    )
    SELECT (SELECT count(*) FROM found), (SELECT count(DISTINCT height) FROM found),
           (SELECT count(*) FROM found WHERE EXISTS (
               SELECT FROM blocks o WHERE o.chain_id = of_chain_id AND o.height = found.height AND (o.first_at, o.hash) < (found.first_at, found.hash))),
           (SELECT coalesce(sum(found.nodes), 0)::bigint FROM found),
           (SELECT coalesce(array_agg(n::bigint ORDER BY i), '{}') FROM spread),
           (SELECT coalesce(sum(n), 0)::bigint FROM waits),
           (SELECT coalesce(array_agg(coalesce(n, 0) ORDER BY i), '{}') FROM generate_series(1, (SELECT max(i) FROM waits)) AS i LEFT JOIN waits USING (i))
$$;

ALTER TABLE blocks RESET (autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor);
ALTER TABLE blocks ALTER COLUMN delays TYPE integer[] USING array_replace(delays, NULL, 0::smallint)::integer[];
COMMENT ON COLUMN blocks.delays IS 'Histogram: how many nodes reported it how long after the first one, who is not in it. delays[1] counts those below 8 ms, delays[n + 1] those from block_delay_bounds()[n] ms up to the next bound, delays[54] those from 65,536 ms on; what follows the last one is 0.';
