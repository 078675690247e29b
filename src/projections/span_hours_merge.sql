-- Does: adds the times of spans to a row that is there; the end of statements that insert
--   into span_hours AS n.
ON CONFLICT (peer_id, genesis_hash, session_id, hour, target, name) DO UPDATE SET
    count = n.count + excluded.count,
    total_ns = n.total_ns + excluded.total_ns,
    min_ns = least(n.min_ns, excluded.min_ns),
    max_ns = greatest(n.max_ns, excluded.max_ns),
    (buckets, counts) = (
        SELECT array_agg(bucket ORDER BY bucket), array_agg(n ORDER BY bucket)
        FROM (
            SELECT bucket, sum(n)::bigint AS n
            FROM unnest(n.buckets || excluded.buckets, n.counts || excluded.counts) AS both_of (bucket, n)
            GROUP BY bucket
        ) AS added)
