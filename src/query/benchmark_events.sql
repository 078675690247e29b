-- Does: lists the phases of a benchmark run.
-- Params: $1 run.
-- Index: benchmark_events_run_idx.
-- Cost: the phases of the run.
-- Order: oldest first; id breaks ties.
SELECT id, benchmark_id, name, phase, created_at
FROM benchmark_events
WHERE benchmark_id = $1
ORDER BY created_at, id
