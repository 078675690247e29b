-- Does: counts the nodes of some chains in some hours by what the machines of their sessions are.
-- Params: $1 genesis hashes, $2 hours, $3 values of each fact that are kept apart.
-- Index: peer_connections_chain_idx.
-- Cost: the sessions of those chains that began before the end of each hour.
-- Order: none; one server writes at a time.
WITH machines AS (
    SELECT k.genesis_hash, k.hour, v.fact, v.value, count(DISTINCT p.peer_id) AS nodes,
           row_number() OVER (PARTITION BY k.genesis_hash, k.hour, v.fact ORDER BY count(DISTINCT p.peer_id) DESC, v.value) AS place
    FROM unnest($1::text[], $2::timestamptz[]) AS k (genesis_hash, hour)
    JOIN peer_connections p ON p.genesis_hash = k.genesis_hash AND p.created_at < k.hour + interval '1 hour'
        AND coalesce(p.disconnected_at, p.last_seen_at) >= k.hour AND p.peer_id IS NOT NULL
    CROSS JOIN LATERAL (VALUES
        ('cpu', p.cpu), ('core_count', p.core_count::text), ('memory_gib', round(p.memory_bytes / 1073741824.0)::bigint::text),
        ('linux_kernel', p.linux_kernel), ('linux_distro', p.linux_distro), ('target_os', p.target_os), ('target_arch', p.target_arch),
        ('is_virtual_machine', p.is_virtual_machine::text)) AS v (fact, value)
    WHERE v.value IS NOT NULL
    GROUP BY k.genesis_hash, k.hour, v.fact, v.value
)
INSERT INTO hardware_hours (genesis_hash, hour, fact, value, nodes)
SELECT genesis_hash, hour, fact, CASE WHEN place <= $3 THEN value ELSE '(other)' END AS kept, sum(nodes)
FROM machines
GROUP BY genesis_hash, hour, fact, kept
