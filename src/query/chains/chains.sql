-- Does: finds chains: where they are, how many nodes they have, and how their last 50 blocks came.
-- Params: $1 number of the chain or NULL for all, $2 rows.
-- Index: nodes_online_idx, blocks_pkey; of one chain nodes_genesis_idx.
-- Cost: the nodes that are there or were within a day, and 50 blocks for each chain of the answer.
-- Order: those with the most nodes first; the genesis hash is unique.
WITH here AS MATERIALIZED (
    SELECT n.peer_id, n.genesis_hash, n.online, n.best_height, n.finalized_height
    FROM nodes n
    WHERE ($1::integer IS NULL OR n.genesis_hash = (SELECT c.genesis_hash FROM chains c WHERE c.id = $1))
      AND (n.online OR n.last_seen_at > now() - interval '1 day')
), counts AS (
    SELECT genesis_hash, count(*) AS nodes, count(*) FILTER (WHERE online) AS nodes_online,
           chain_height(array_agg(best_height) FILTER (WHERE online)) AS best_height,
           chain_height(array_agg(finalized_height) FILTER (WHERE online)) AS finalized_height,
           max(best_height - finalized_height) FILTER (WHERE online AND best_height BETWEEN 0 AND 4294967295 AND finalized_height >= 0) AS lag_max
    FROM here GROUP BY genesis_hash
), asked AS (
    SELECT c.*, coalesce(h.nodes, 0) AS nodes, coalesce(h.nodes_online, 0) AS nodes_online, h.best_height, h.finalized_height, h.lag_max
    FROM chains c LEFT JOIN counts h ON h.genesis_hash = c.genesis_hash
    WHERE $1::integer IS NULL OR c.id = $1
    ORDER BY nodes_online DESC, nodes DESC, c.genesis_hash
    LIMIT $2
)
SELECT a.genesis_hash, a.name AS chain, a.best_height, a.finalized_height, a.lag_max, a.nodes, a.nodes_online,
       coalesce((
           SELECT jsonb_object_agg(s.state, s.nodes)
           FROM (
               SELECT coalesce(s.state, 'online') AS state, count(*) AS nodes
               FROM here h LEFT JOIN node_status s ON s.peer_id = h.peer_id AND s.genesis_hash = h.genesis_hash
               WHERE h.genesis_hash = a.genesis_hash GROUP BY 1) AS s), '{}') AS states,
       lately.block_time_s, lately.last_block_at, extract(epoch FROM now() - lately.last_block_at)::double precision AS since_last_block_s,
       coalesce((SELECT sum(h.forks) FROM chain_hours h WHERE h.chain_id = a.id AND h.hour > now() - interval '1 day' AND NOT h.is_stale), 0)::bigint
           + coalesce((
               SELECT sum(s.forks) FROM chain_hours h CROSS JOIN LATERAL chain_blocks(h.chain_id, h.hour, h.hour + interval '1 hour') s
               WHERE h.chain_id = a.id AND h.hour > now() - interval '1 day' AND h.is_stale), 0)::bigint AS forks,
       block_delay_quantile(lately.delays, 0.5) AS propagation_p50_s, block_delay_quantile(lately.delays, 0.95) AS propagation_p95_s,
       lately.finality_p50_s, lately.finality_p95_s,
       a.left_out_behind, a.left_out_ahead, a.left_out_excess, a.left_out_late, a.left_out_malformed
FROM asked a
CROSS JOIN LATERAL (
    WITH last AS (
        SELECT coalesce(a.best_height, (SELECT b.height FROM blocks b WHERE b.chain_id = a.id ORDER BY b.first_at DESC LIMIT 1)) AS height
    ), found AS MATERIALIZED (
        SELECT b.height, b.first_at, b.finalized_at, b.delays FROM blocks b, last
        WHERE b.chain_id = a.id AND b.height <= last.height AND b.height > last.height - 50
    ), spread AS (
        SELECT i, sum(n) AS n FROM found CROSS JOIN LATERAL unnest(found.delays) WITH ORDINALITY AS d (n, i) GROUP BY i
    ), firsts AS (
        SELECT height, min(first_at) AS first_at FROM found GROUP BY height
    )
    SELECT (SELECT extract(epoch FROM max(first_at) - min(first_at))::double precision / nullif(max(height) - min(height), 0) FROM firsts) AS block_time_s,
           (SELECT first_at FROM firsts ORDER BY height DESC LIMIT 1) AS last_block_at,
           (SELECT array_agg(n::bigint ORDER BY i) FROM spread) AS delays,
           (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finalized_at - first_at)) FROM found) AS finality_p50_s,
           (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finalized_at - first_at)) FROM found) AS finality_p95_s
) AS lately
ORDER BY a.nodes_online DESC, a.nodes DESC, a.genesis_hash
