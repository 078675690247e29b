-- Does: tells how the measured scores of the machines of a chain are distributed, against the reference machine.
-- Params: $1 genesis hash, $2 names of the scores, $3 what the reference machine has.
-- Index: nodes_genesis_idx, peer_connections_pkey.
-- Cost: the nodes of the chain.
-- Order: as the names.
SELECT v.score, r.reference, count(*) AS nodes, count(*) FILTER (WHERE v.value < r.reference) AS below,
       min(v.value) AS min, percentile_disc(0.1) WITHIN GROUP (ORDER BY v.value) AS p10,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY v.value) AS p50, percentile_disc(0.9) WITHIN GROUP (ORDER BY v.value) AS p90, max(v.value) AS max
FROM nodes n JOIN peer_connections p ON p.id = n.session_id
CROSS JOIN LATERAL (VALUES
    ('cpu_hashrate_score', p.cpu_hashrate_score), ('parallel_cpu_hashrate_score', p.parallel_cpu_hashrate_score),
    ('memory_memcpy_score', p.memory_memcpy_score), ('disk_sequential_write_score', p.disk_sequential_write_score),
    ('disk_random_write_score', p.disk_random_write_score)) AS v (score, value)
JOIN unnest($2::text[], $3::double precision[]) WITH ORDINALITY AS r (score, reference, place) ON r.score = v.score
WHERE n.genesis_hash = $1 AND (n.online OR n.last_seen_at > now() - interval '1 day') AND v.value IS NOT NULL
GROUP BY v.score, r.reference, r.place
ORDER BY r.place
