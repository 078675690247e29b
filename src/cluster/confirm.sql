-- Does: finds a lease that its holder lost, or will have lost in some time.
-- Params: $1 names of the jobs, $2 their holders, $3 fencing tokens, $4 seconds.
-- Index: leases_pkey.
-- Cost: one row for each lease.
-- Order: none; any of them is reason enough.
SELECT asked.name
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (name, holder, token)
WHERE NOT EXISTS (
    SELECT FROM leases l
    WHERE l.name = asked.name AND l.holder = asked.holder AND l.token = asked.token
      AND l.expires_at > clock_timestamp() + make_interval(secs => $4))
LIMIT 1
