-- Does: keeps the first targets and names of some hours in alphabetical order, and
--   counts the others together.
-- Params: $1 peer ids, $2 genesis hashes, $3 sessions, $4 hours, $5 rows that are kept
--   in each, $6 target and name of the others.
-- Index: span_hours_pkey.
-- Cost: all rows of those hours.
-- Order: none; one server writes at a time.
-- Where merge stands in braces belongs span_hours_merge.sql.
WITH surplus AS MATERIALIZED (
    SELECT k.peer_id, k.genesis_hash, k.session_id, k.hour, further.target, further.name
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) AS k (peer_id, genesis_hash, session_id, hour)
    CROSS JOIN LATERAL (
        SELECT h.target, h.name FROM span_hours h
        WHERE h.peer_id = k.peer_id AND h.genesis_hash = k.genesis_hash AND h.session_id = k.session_id AND h.hour = k.hour
          AND (h.target, h.name) <> ($6, $6)
        ORDER BY h.target, h.name OFFSET $5
    ) further
), removed AS (
    DELETE FROM span_hours h USING surplus s
    WHERE h.peer_id = s.peer_id AND h.genesis_hash = s.genesis_hash AND h.session_id = s.session_id AND h.hour = s.hour
      AND h.target = s.target AND h.name = s.name
    RETURNING h.peer_id, h.genesis_hash, h.session_id, h.hour, h.count, h.total_ns, h.min_ns, h.max_ns, h.buckets, h.counts
), summed AS (
    SELECT peer_id, genesis_hash, session_id, hour, sum(count)::bigint AS count, sum(total_ns) AS total_ns, min(min_ns) AS min_ns, max(max_ns) AS max_ns
    FROM removed GROUP BY peer_id, genesis_hash, session_id, hour
), spread AS (
    SELECT peer_id, genesis_hash, session_id, hour, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(n ORDER BY bucket) AS counts
    FROM (
        SELECT peer_id, genesis_hash, session_id, hour, bucket, sum(n)::bigint AS n
        FROM removed CROSS JOIN LATERAL unnest(buckets, counts) AS h (bucket, n)
        GROUP BY peer_id, genesis_hash, session_id, hour, bucket
    ) AS added
    GROUP BY peer_id, genesis_hash, session_id, hour
)
INSERT INTO span_hours AS n (peer_id, genesis_hash, session_id, hour, target, name, count, total_ns, min_ns, max_ns, buckets, counts)
SELECT peer_id, genesis_hash, session_id, hour, $6, $6, count, total_ns, min_ns, max_ns, buckets, counts
FROM summed JOIN spread USING (peer_id, genesis_hash, session_id, hour)
{merge}
