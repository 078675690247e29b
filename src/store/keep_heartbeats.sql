-- Does: keeps heartbeats of services, the newest of each; beyond a number of services new ones are left out.
-- Params: $1 JSON array of objects as below, $2 services at most.
-- Index: services_pkey, service_heartbeats_pkey.
-- Cost: one row of each table for each heartbeat.
-- Order: by service, so that two transactions never wait for each other in a circle.
WITH beats AS (
    SELECT b.*, clock_timestamp() - b.age_ms * interval '1 millisecond' AS at
    FROM json_to_recordset($1::json) AS b (service text, interval_s bigint, jitter_s bigint, is_down boolean, metrics jsonb, age_ms bigint)
), kept AS (
    INSERT INTO services AS s (service, interval_s, jitter_s, first_seen_at, last_seen_at, is_down, metrics)
    SELECT service, interval_s, jitter_s, at, at, is_down, metrics FROM beats
    WHERE EXISTS (SELECT FROM services known WHERE known.service = beats.service) OR (SELECT count(*) FROM services) < $2
    ORDER BY service
    ON CONFLICT (service) DO UPDATE SET
        interval_s = excluded.interval_s,
        jitter_s = excluded.jitter_s,
        last_seen_at = excluded.last_seen_at,
        is_down = excluded.is_down,
        metrics = excluded.metrics
    WHERE s.last_seen_at < excluded.last_seen_at
    RETURNING service, last_seen_at, is_down, metrics
), entered AS (
    INSERT INTO service_heartbeats (service, created_at, is_down, metrics)
    SELECT service, last_seen_at, is_down, metrics FROM kept
    ON CONFLICT DO NOTHING
)
SELECT count(*) AS kept FROM kept
