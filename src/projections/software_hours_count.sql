-- Does: counts the nodes of some chains in some hours by the software of their sessions, and whether another node shares
--   their connection.
-- Params: $1 genesis hashes, $2 hours, $3 versions of each that are kept apart.
-- Index: peer_connections_chain_idx, peer_connections_connection_idx.
-- Cost: the sessions of those chains that began before the end of each hour.
-- Order: none; one server writes at a time.
WITH sessions AS (
    SELECT k.genesis_hash, k.hour, p.peer_id, coalesce(p.implementation, '') AS implementation, coalesce(p.version, '') AS version,
           EXISTS (SELECT FROM peer_connections o WHERE o.connection_id = p.connection_id AND o.genesis_hash IS DISTINCT FROM p.genesis_hash) AS shares_process
    FROM unnest($1::text[], $2::timestamptz[]) AS k (genesis_hash, hour)
    JOIN peer_connections p ON p.genesis_hash = k.genesis_hash AND p.created_at < k.hour + interval '1 hour'
        AND coalesce(p.disconnected_at, p.last_seen_at) >= k.hour AND p.peer_id IS NOT NULL
), counted AS (
    SELECT genesis_hash, hour, implementation, version, shares_process, count(DISTINCT peer_id) AS nodes,
           row_number() OVER (PARTITION BY genesis_hash, hour ORDER BY count(DISTINCT peer_id) DESC, implementation, version, shares_process) AS place
    FROM sessions GROUP BY genesis_hash, hour, implementation, version, shares_process
)
INSERT INTO software_hours (genesis_hash, hour, implementation, version, shares_process, nodes)
SELECT genesis_hash, hour, CASE WHEN place <= $3 THEN implementation ELSE '(other)' END AS kept, CASE WHEN place <= $3 THEN version ELSE '(other)' END AS of_version,
       shares_process, sum(nodes)
FROM counted
GROUP BY genesis_hash, hour, kept, of_version, shares_process
