-- Does: enters a phase of a benchmark run.
-- Params: $1 run, $2 name, $3 phase, $4 time.
-- Index: benchmarks_pkey, for the reference.
-- Cost: one row.
-- Order: none.
INSERT INTO benchmark_events (benchmark_id, name, phase, created_at)
VALUES ($1, $2, $3, $4)
RETURNING id, benchmark_id, name, phase, created_at
