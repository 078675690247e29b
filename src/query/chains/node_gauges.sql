-- Does: finds nodes that are there, or were within a day, with what they do now, and how long after the first node they
--   had the last ten blocks of their chain.
-- Params: $1 name or genesis hash of the chain or NULL, $2 rows.
-- Index: nodes_online_idx, blocks_time_idx, block_arrivals_pkey; of a chain nodes_chain_idx and nodes_genesis_idx.
-- Cost: the nodes, and ten blocks of each chain with the reports of all nodes.
-- Order: those that are there first, then those that were seen last.
WITH lately AS MATERIALIZED (
    SELECT c.genesis_hash, b.chain_id, b.height, b.hash, b.first_at
    FROM chains c
    CROSS JOIN LATERAL (SELECT * FROM blocks b WHERE b.chain_id = c.id AND b.first_at > now() - interval '1 hour' ORDER BY b.first_at DESC LIMIT 10) b
    WHERE $1::text IS NULL OR c.name = $1 OR c.genesis_hash = $1
), reports AS (
    SELECT l.genesis_hash, substring(a.arrivals FROM i * 17 + 1 FOR 8) AS node, l.height, l.hash,
           min(('x' || encode(substring(a.arrivals FROM i * 17 + 9 FOR 8), 'hex'))::bit(64)::bigint / 1000000.0 - extract(epoch FROM l.first_at)) AS delay_s
    FROM lately l
    JOIN block_arrivals a ON a.chain_id = l.chain_id AND a.height = l.height AND a.hash = l.hash
    CROSS JOIN LATERAL generate_series(0, length(a.arrivals) / 17 - 1) AS i
    GROUP BY l.genesis_hash, node, l.height, l.hash
), means AS (
    SELECT genesis_hash, node, avg(delay_s)::double precision AS propagation_s FROM reports GROUP BY genesis_hash, node
)
SELECT s.peer_id, coalesce(s.name, '') AS name, coalesce(s.chain, '') AS chain,
       s.online AND s.state NOT IN ('missing', 'offline', 'telemetry_lost', 'down') AS is_up,
       coalesce(s.authority, false) AS is_authority,
       extract(epoch FROM s.last_seen_at)::double precision AS last_seen_s,
       s.best_height::double precision, s.finalized_height::double precision, s.behind_blocks::double precision,
       s.finality_lag_blocks::double precision, s.peers::double precision, s.download_bytes_per_s, s.upload_bytes_per_s,
       m.propagation_s, count(*) OVER () AS nodes
FROM node_state s
LEFT JOIN means m ON m.genesis_hash = s.genesis_hash AND m.node = substring(sha256(convert_to(s.peer_id, 'UTF8')) FROM 1 FOR 8)
WHERE (s.online OR s.last_seen_at > now() - interval '1 day')
  AND ($1::text IS NULL OR s.chain = $1 OR s.genesis_hash = nullif($1, ''))
ORDER BY s.online DESC, s.last_seen_at DESC, s.peer_id, s.genesis_hash
LIMIT $2
