-- Does: finds when a node had no open session within a span of time, and why its last session before had ended.
-- Params: $1 peer id, $2 genesis hash, $3 first moment, $4 moment after the last, $5 rows.
-- Index: peer_connections_peer_idx, nodes_pkey.
-- Cost: the sessions of the node that reach into the span, at most 10,000.
-- Order: the newest first.
WITH sessions AS (
    SELECT p.created_at, p.disconnected_at, p.disconnect_reason
    FROM peer_connections p
    WHERE p.peer_id = $1 AND coalesce(p.genesis_hash, '') = $2 AND p.created_at < $4
      AND (p.disconnected_at IS NULL OR p.disconnected_at >= $3)
    ORDER BY p.created_at DESC, p.id DESC LIMIT 10000
), spans AS (
    SELECT range_agg(tstzrange(created_at, coalesce(disconnected_at, 'infinity'), '[]')) AS open FROM sessions
), asked AS (
    SELECT greatest($3, n.first_seen_at) AS start, least($4, now()) AS until FROM nodes n WHERE n.peer_id = $1 AND n.genesis_hash = $2
), gaps AS (
    SELECT gap, start, until
    FROM asked, spans, unnest(tstzmultirange(tstzrange(start, greatest(start, until))) - coalesce(open, '{}')) AS gap
)
-- The ends of the first and the last gap may be outside of the span.
SELECT CASE WHEN lower(g.gap) > g.start THEN lower(g.gap) ELSE (
           SELECT max(s.disconnected_at) FROM (
               SELECT p.disconnected_at FROM peer_connections p
               WHERE p.peer_id = $1 AND coalesce(p.genesis_hash, '') = $2 AND p.created_at <= g.start
               ORDER BY p.peer_id, p.created_at DESC, p.id DESC LIMIT 100) s
       ) END AS start_time,
       CASE WHEN upper(g.gap) < g.until THEN upper(g.gap) ELSE (
           SELECT p.created_at FROM peer_connections p
           WHERE p.peer_id = $1 AND coalesce(p.genesis_hash, '') = $2 AND p.created_at >= g.until
           ORDER BY p.peer_id DESC, p.created_at, p.id LIMIT 1
       ) END AS end_time,
       (SELECT p.disconnect_reason FROM peer_connections p
        WHERE p.peer_id = $1 AND coalesce(p.genesis_hash, '') = $2 AND p.created_at <= lower(g.gap) AND p.disconnected_at <= lower(g.gap)
        ORDER BY p.created_at DESC, p.id DESC LIMIT 1) AS reason
FROM gaps g
ORDER BY 1 DESC
LIMIT $5
