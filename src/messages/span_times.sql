-- Does: aggregates the spans (tracing.profiling) of each target and name in
--   buckets of time.
-- Params: $1 kind, $2 start and $3 end (not part of it), $4 seconds of a bucket,
--   $5 quantile from 0 to 1, or NULL for the mean, $6 sessions or NULL for all,
--   $7 target or NULL, $8 name or NULL, $9 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx; with a
--   target the one for that.
-- Cost: the spans in the partitions of the range, and sorting those in it; about
--   3 s for a million.
-- Order: oldest bucket first; target and name are unique in a bucket.
SELECT bucket AS created_at, target, name, count(*) AS count,
       coalesce(avg(time) FILTER (WHERE $5 IS NULL),
                percentile_cont($5) WITHIN GROUP (ORDER BY time) FILTER (WHERE $5 IS NOT NULL)) AS time
FROM (
    SELECT date_bin(make_interval(secs => $4), created_at, 'epoch') AS bucket, target, logs ->> 'name' AS name,
           telemetry_number(logs, 'time')::float8 AS time
    FROM telemetry_rows
    WHERE kind_id = $1
      AND created_at >= $2 AND created_at < $3
      AND ($6::bigint[] IS NULL OR peer_connection_id = ANY($6))
      AND ($7::text IS NULL OR target = $7)
      AND ($8::text IS NULL OR logs ->> 'name' = $8)
    -- The time is read once, and only what is needed is sorted.
    OFFSET 0
) spans
WHERE time IS NOT NULL
GROUP BY bucket, target, name
ORDER BY bucket, target, name
LIMIT $9
