-- Does: lists the machines under test.
-- Params: $1 rows.
-- Index: host_systems_pkey.
-- Cost: the rows of the answer.
-- Order: id, which is unique.
SELECT id, description, os, cpu_qty, cpu_clock, ram_mb, disk_info
FROM host_systems
ORDER BY id
LIMIT $1
