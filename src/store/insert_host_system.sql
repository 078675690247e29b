-- Does: enters a machine under test.
-- Params: $1 description, $2 operating system, $3 processors, $4 their clock in
--   MHz, $5 memory in MiB, $6 disks in words.
-- Index: none.
-- Cost: one row.
-- Order: none.
INSERT INTO host_systems (description, os, cpu_qty, cpu_clock, ram_mb, disk_info)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, description, os, cpu_qty, cpu_clock, ram_mb, disk_info
