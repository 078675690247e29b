-- The jobs of services, hour by hour, as their events tell.

CREATE TABLE job_hours (
    hour timestamptz NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    blueprint_id text COLLATE "C",
    started bigint NOT NULL,
    finished bigint NOT NULL,
    failed bigint NOT NULL,
    errors jsonb NOT NULL,
    duration_buckets smallint[] NOT NULL,
    duration_counts bigint[] NOT NULL,
    duration_min_ms double precision,
    duration_max_ms double precision,
    last_at timestamptz NOT NULL,
    failed_at timestamptz,
    PRIMARY KEY (hour, service_id, job_id)
-- Values change with each event, keys do not: updates stay within their page.
) WITH (fillfactor = 60);
COMMENT ON TABLE job_hours IS 'Projection, kept with events: jobs of services (events job.started, job.finished, job.failed with service_id) by the hour of their arrival. Of an hour 1,000 are kept apart; the others are counted together as (other). Purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN job_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN job_hours.service_id IS 'The service.';
COMMENT ON COLUMN job_hours.job_id IS 'Its job; empty if the events do not say it.';
COMMENT ON COLUMN job_hours.blueprint_id IS 'Blueprint of the service, as an event said last; NULL if none did.';
COMMENT ON COLUMN job_hours.started IS 'Events job.started.';
COMMENT ON COLUMN job_hours.finished IS 'Events job.finished.';
COMMENT ON COLUMN job_hours.failed IS 'Events job.failed.';
COMMENT ON COLUMN job_hours.errors IS 'How many failed with which error, up to 20 kinds; the others are counted as (other).';
COMMENT ON COLUMN job_hours.duration_buckets IS 'Buckets of duration_ms, in nanoseconds, that are not empty; see telemetry_span_bounds.';
COMMENT ON COLUMN job_hours.duration_counts IS 'How many fell into each.';
COMMENT ON COLUMN job_hours.duration_min_ms IS 'Shortest duration, milliseconds; NULL if no event said one.';
COMMENT ON COLUMN job_hours.duration_max_ms IS 'Longest duration, milliseconds.';
COMMENT ON COLUMN job_hours.last_at IS 'Arrival of the last event.';
COMMENT ON COLUMN job_hours.failed_at IS 'Arrival of the last job.failed; NULL if none failed.';
