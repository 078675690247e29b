-- Does: renews the leases of a server, and acquires those that are free or expired.
-- Params: $1 server, $2 names of the jobs, $3 seconds until they expire.
-- Index: leases_pkey.
-- Cost: one row for each job.
-- Order: by name, so that two servers never wait for each other in a circle.
INSERT INTO leases (name, holder, token, acquired_at, expires_at)
SELECT name, $1, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $3)
FROM unnest($2::text[]) AS name
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    token = leases.token + CASE WHEN leases.holder = excluded.holder AND leases.expires_at > clock_timestamp() THEN 0 ELSE 1 END,
    acquired_at = CASE WHEN leases.holder = excluded.holder AND leases.expires_at > clock_timestamp() THEN leases.acquired_at ELSE clock_timestamp() END,
    expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at <= clock_timestamp()
RETURNING name, token
