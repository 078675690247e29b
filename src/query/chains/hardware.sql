-- Does: counts the nodes of a chain that are there, or were within a day, by what their machines are.
-- Params: $1 genesis hash, $2 values of each fact.
-- Index: nodes_genesis_idx, peer_connections_pkey.
-- Cost: the nodes of the chain.
-- Order: by fact, then the most nodes first.
WITH machines AS (
    SELECT p.cpu, p.core_count, round(p.memory_bytes / 1073741824.0)::bigint AS memory_gib, p.linux_kernel, p.linux_distro, p.target_os, p.target_arch, p.is_virtual_machine
    FROM nodes n JOIN peer_connections p ON p.id = n.session_id
    WHERE n.genesis_hash = $1 AND (n.online OR n.last_seen_at > now() - interval '1 day')
), ranked AS (
    SELECT v.fact, v.value, count(*) AS nodes, row_number() OVER (PARTITION BY v.fact ORDER BY count(*) DESC, v.value) AS place
    FROM machines m
    CROSS JOIN LATERAL (VALUES
        ('cpu', m.cpu), ('core_count', m.core_count::text), ('memory_gib', m.memory_gib::text), ('linux_kernel', m.linux_kernel),
        ('linux_distro', m.linux_distro), ('target_os', m.target_os), ('target_arch', m.target_arch),
        ('is_virtual_machine', m.is_virtual_machine::text)) AS v (fact, value)
    WHERE v.value IS NOT NULL
    GROUP BY v.fact, v.value
)
SELECT fact, value, nodes FROM ranked WHERE place <= $2 ORDER BY fact, place
