-- Does: adds up the spans of each target and name: whole hours from span_hours, what
--   lies beside them from spans_beside; continues the statement that begins with it
--   (messages/spans_beside.sql).
-- Params: $1 to $6 those of spans_beside, the whole hours being its inner range; $7
--   seconds of a bucket or NULL for one bucket, $8 peer id or NULL, $9 target or NULL,
--   $10 name or NULL, $11 whether the histograms of what lies beside are wanted, $12 whether
--   the costliest come first, $13 rows.
-- Index: span_hours_pkey with a peer id, else span_hours_hour_idx.
-- Cost: one row of span_hours for each hour, node, target and name, and the spans of
--   less than two hours.
-- Order: none. Rows with created_at are sums; their places are in order, the costliest
--   first, or the oldest bucket; target and name are unique in one. Rows without it are
--   the histogram of what lies beside the hours, of their place.
hours AS (
    SELECT CASE WHEN $7 IS NULL THEN 'epoch' ELSE date_bin(make_interval(secs => $7), hour, 'epoch') END AS bucket_at,
           target, name, count, total_ns, min_ns, max_ns
    FROM span_hours
    WHERE hour >= $3 AND hour < $4
      AND ($8::text IS NULL OR peer_id = $8)
      AND ($9::text IS NULL OR target = $9)
      AND ($10::text IS NULL OR name = $10)
), spans AS MATERIALIZED (
    SELECT CASE WHEN $7 IS NULL THEN 'epoch' ELSE date_bin(make_interval(secs => $7), created_at, 'epoch') END AS bucket_at,
           coalesce(target, '') COLLATE "C" AS target, coalesce(name, '') COLLATE "C" AS name, time,
           width_bucket(round(least(time, 1e18))::bigint, (SELECT telemetry_span_bounds()))::smallint AS bucket
    FROM spans_beside
    WHERE time IS NOT NULL
      AND ($9::text IS NULL OR target = $9)
      AND ($10::text IS NULL OR name = $10)
), totals AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY CASE WHEN $12 THEN sum(total) END DESC, bucket_at, nullif(target, ''), nullif(name, '')) AS place,
           bucket_at, target, name, sum(count)::bigint AS count, sum(total) AS total, min(min) AS min, max(max) AS max
    FROM (
        SELECT bucket_at, target, name, sum(count) AS count, sum(total_ns) AS total, min(min_ns) AS min, max(max_ns) AS max
        FROM hours GROUP BY bucket_at, target, name
        UNION ALL
        SELECT bucket_at, target, name, count(*), sum(time), min(time), max(time)
        FROM spans GROUP BY bucket_at, target, name
    ) AS parts
    GROUP BY bucket_at, target, name
    ORDER BY place
    LIMIT $13
)
SELECT place, bucket_at AS created_at, nullif(target, '') AS target, nullif(name, '') AS name, count,
       total::float8 AS total, (total / count)::float8 AS mean, min::float8 AS min, max::float8 AS max,
       '{}'::smallint[] AS buckets, '{}'::bigint[] AS counts
FROM totals
UNION ALL
SELECT place, NULL, NULL, NULL, 0, 0, 0, 0, 0, array_agg(bucket), array_agg(n)
FROM (
    SELECT place, bucket, count(*) AS n
    FROM spans JOIN totals USING (bucket_at, target, name)
    WHERE $11
    GROUP BY place, bucket
) AS cells
GROUP BY place
