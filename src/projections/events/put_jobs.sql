-- Does: stores hours of jobs as they are now.
-- Params: $1 JSON array of objects with the columns of job_hours.
-- Index: job_hours_pkey.
-- Cost: one row for each hour of a job.
-- Order: none; one server writes at a time.
INSERT INTO job_hours AS h
SELECT * FROM json_populate_recordset(NULL::job_hours, $1::json)
ON CONFLICT (hour, service_id, job_id) DO UPDATE SET
    blueprint_id = excluded.blueprint_id,
    started = excluded.started,
    finished = excluded.finished,
    failed = excluded.failed,
    errors = excluded.errors,
    duration_buckets = excluded.duration_buckets,
    duration_counts = excluded.duration_counts,
    duration_min_ms = excluded.duration_min_ms,
    duration_max_ms = excluded.duration_max_ms,
    last_at = excluded.last_at,
    failed_at = excluded.failed_at
