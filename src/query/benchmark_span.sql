-- Does: finds the span of a benchmark run with the phases that were entered for it,
--   and its peer, if its setup names one.
-- Params: $1 run.
-- Index: benchmarks_pkey and benchmark_events_run_idx.
-- Cost: the run and its first and last phase.
-- Order: none, at most one row.
SELECT least(b.ts_start, min(e.created_at)) AS start,
       greatest(b.ts_end, max(e.created_at)) AS "end",
       b.setup #>> '{substrate,peerId}' AS peer_id
FROM benchmarks b
LEFT JOIN benchmark_events e ON e.benchmark_id = b.id
WHERE b.id = $1
GROUP BY b.id
