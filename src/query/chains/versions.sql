-- Does: finds how many nodes of a chain ran which software in equal spans of whole hours: the most of them at one hour.
-- Params: $1 genesis hash, $2 start of the first span, $3 length of each in seconds, $4 how many, $5 rows.
-- Index: software_hours_pkey.
-- Cost: the versions of each hour.
-- Order: by time, then the most nodes first.
WITH hours AS (
    SELECT s.hour, s.implementation, s.version, sum(s.nodes) AS nodes, coalesce(sum(s.nodes) FILTER (WHERE s.shares_process), 0) AS embedded
    FROM software_hours s
    WHERE s.genesis_hash = $1 AND s.hour >= $2 AND s.hour < $2::timestamptz + $4::integer * $3::double precision * interval '1 second'
    GROUP BY s.hour, s.implementation, s.version
)
SELECT floor(extract(epoch FROM hour - $2) / $3)::integer AS place, implementation, version, max(nodes)::bigint AS nodes, max(embedded)::bigint AS embedded
FROM hours
GROUP BY place, implementation, version
ORDER BY place, nodes DESC, implementation, version
LIMIT $5
