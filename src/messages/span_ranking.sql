-- Does: finds the targets and names whose spans (tracing.profiling) took longest
--   altogether.
-- Params: $1 kind, $2 start and $3 end (not part of it), $4 sessions or NULL for
--   all, $5 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the spans in the partitions of the range, and sorting those in it; about
--   3 s for a million.
-- Order: the costliest first; target and name are unique.
SELECT target, name, count(*) AS count, sum(time) AS total, avg(time) AS mean,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY time) AS median,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY time) AS percentile90,
       min(time) AS min, max(time) AS max
FROM (
    SELECT target, logs ->> 'name' AS name, telemetry_number(logs, 'time')::float8 AS time
    FROM telemetry_rows
    WHERE kind_id = $1
      AND created_at >= $2 AND created_at < $3
      AND ($4::bigint[] IS NULL OR peer_connection_id = ANY($4))
    -- The time is read once, and only what is needed is sorted.
    OFFSET 0
) spans
WHERE time IS NOT NULL
GROUP BY target, name
ORDER BY total DESC, target, name
LIMIT $5
