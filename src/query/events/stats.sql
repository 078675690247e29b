-- Does: measures the events of a window of arrival by group and bucket.
-- Params: $1 to $7 filter, $8 start and $9 end of the window, $10 field to group by or NULL, $11 field to measure or NULL,
--   $12 seconds of a bucket, 0 for the whole window, $13 groups that are kept apart.
-- Index: events_pkey; events_source_idx or events_name_idx where one is given.
-- Cost: the events of the window that fit, about 2 us each.
-- Order: bucket, then group, those without one last.
WITH found AS MATERIALIZED (
    SELECT CASE WHEN $12::bigint > 0 THEN to_timestamp(floor(extract(epoch FROM received_at) / $12) * $12) ELSE $8 END AS created_at,
           {group} AS grp,
           telemetry_number(jsonb_build_object('v', data #> string_to_array($11, '.')), 'v')::double precision AS value
    FROM events
    WHERE received_at >= $8 AND received_at < $9
      AND {filter}
), kept AS (
    SELECT grp FROM found WHERE grp IS NOT NULL GROUP BY grp ORDER BY count(*) DESC, grp LIMIT $13
)
SELECT f.created_at, k.grp AS "group", count(*) AS count, ({measure})::double precision AS value
FROM found f LEFT JOIN kept k ON k.grp = f.grp
GROUP BY 1, 2
ORDER BY 1, 2 NULLS LAST
