-- Does: stores sessions; a state that is older than the stored one changes nothing.
-- Params: $1 JSON array of objects with the columns of peer_connections.
-- Index: peer_connections_pkey.
-- Cost: one row each.
-- Order: none.
INSERT INTO peer_connections
SELECT * FROM json_populate_recordset(NULL::peer_connections, $1::json)
ON CONFLICT (id) DO UPDATE SET
    ip_addr = excluded.ip_addr,
    peer_id = excluded.peer_id,
    audit = excluded.audit,
    name = excluded.name,
    chain = excluded.chain,
    version = excluded.version,
    authority = excluded.authority,
    startup_time = excluded.startup_time,
    implementation = excluded.implementation,
    genesis_hash = excluded.genesis_hash,
    config = excluded.config,
    target_os = excluded.target_os,
    target_arch = excluded.target_arch,
    target_env = excluded.target_env,
    cpu = excluded.cpu,
    memory_bytes = excluded.memory_bytes,
    core_count = excluded.core_count,
    linux_kernel = excluded.linux_kernel,
    linux_distro = excluded.linux_distro,
    is_virtual_machine = excluded.is_virtual_machine,
    cpu_hashrate_score = excluded.cpu_hashrate_score,
    parallel_cpu_hashrate_score = excluded.parallel_cpu_hashrate_score,
    parallel_cpu_cores = excluded.parallel_cpu_cores,
    memory_memcpy_score = excluded.memory_memcpy_score,
    disk_sequential_write_score = excluded.disk_sequential_write_score,
    disk_random_write_score = excluded.disk_random_write_score,
    last_seen_at = excluded.last_seen_at,
    disconnected_at = excluded.disconnected_at,
    disconnect_reason = excluded.disconnect_reason,
    revision = excluded.revision
WHERE peer_connections.revision < excluded.revision
