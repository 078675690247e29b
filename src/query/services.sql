-- Does: lists services that are no nodes; one or all.
-- Params: $1 service or NULL.
-- Index: services_pkey.
-- Cost: the services, at most 10,000.
-- Order: by name.
SELECT service, coalesce(state, 'online') AS state, reason, coalesce(since, first_seen_at) AS since,
       interval_s, jitter_s, first_seen_at, last_seen_at, metrics
FROM services
WHERE $1::text IS NULL OR service = $1
ORDER BY service
