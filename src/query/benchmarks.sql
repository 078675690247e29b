-- Does: lists benchmark runs.
-- Params: $1 rows.
-- Index: benchmarks_start_idx.
-- Cost: the rows of the answer.
-- Order: latest start first; id breaks ties.
SELECT id, setup::text, ts_start, ts_end, description, chain_spec::text, benchmark_spec::text, host_system_id, created_at
FROM benchmarks
ORDER BY ts_start DESC, id DESC
LIMIT $1
