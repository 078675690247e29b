-- Does: finds how many nodes of a chain had which value of a fact of their machines in equal spans of whole hours: the most of them
--   at one hour.
-- Params: $1 genesis hash, $2 start of the first span, $3 length of each in seconds, $4 how many, $5 fact.
-- Index: hardware_hours_pkey.
-- Cost: the values of all facts in each hour, at most 240.
-- Order: by time, then the most nodes first.
SELECT floor(extract(epoch FROM hour - $2) / $3)::integer AS place, value, max(nodes)::bigint AS nodes
FROM hardware_hours
WHERE genesis_hash = $1 AND hour >= $2 AND hour < $2::timestamptz + $4::integer * $3::double precision * interval '1 second' AND fact = $5
GROUP BY place, value
ORDER BY place, nodes DESC, value
