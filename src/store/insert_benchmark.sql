-- Does: enters a benchmark run.
-- Params: $1 setup, $2 start, $3 end, $4 description, $5 chain specification,
--   $6 benchmark specification, $7 machine; all but the times may be NULL.
-- Index: host_systems_pkey, for the reference.
-- Cost: one row.
-- Order: none.
INSERT INTO benchmarks (setup, ts_start, ts_end, description, chain_spec, benchmark_spec, host_system_id)
VALUES ($1::jsonb, $2, $3, $4, $5::jsonb, $6::jsonb, $7)
RETURNING id, setup::text, ts_start, ts_end, description, chain_spec::text, benchmark_spec::text, host_system_id, created_at
