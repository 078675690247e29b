-- Does: counts the nodes of a chain by software in equal spans of time, from their sessions.
-- Params: $1 genesis hash, $2 start of the first span, $3 length of each in seconds, $4 how many, $5 rows.
-- Index: peer_connections_chain_idx.
-- Cost: the sessions of the chain that began before the end and reach into the spans, each once for each span.
-- Order: by time, then the most nodes first.
WITH asked AS (
    SELECT $2::timestamptz AS start, $2::timestamptz + $4::integer * $3::double precision * interval '1 second' AS until
), sessions AS (
    SELECT p.peer_id, coalesce(p.implementation, '') AS implementation, coalesce(p.version, '') AS version,
           greatest(p.created_at, a.start) AS start, least(coalesce(p.disconnected_at, now()), a.until - interval '1 microsecond') AS until, a.start AS origin
    FROM peer_connections p, asked a
    WHERE p.genesis_hash = $1 AND p.created_at < a.until AND coalesce(p.disconnected_at, 'infinity') >= a.start AND p.peer_id IS NOT NULL
)
SELECT place, implementation, version, count(DISTINCT peer_id) AS nodes
FROM sessions s
CROSS JOIN LATERAL generate_series(floor(extract(epoch FROM s.start - s.origin) / $3)::integer, floor(extract(epoch FROM s.until - s.origin) / $3)::integer) AS place
GROUP BY place, implementation, version
ORDER BY place, nodes DESC, implementation, version
LIMIT $5
