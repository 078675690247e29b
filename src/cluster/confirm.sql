-- Does: checks whether a server holds a lease for some time yet.
-- Params: $1 name of the job, $2 server, $3 fencing token, $4 seconds.
-- Index: leases_pkey.
-- Cost: one row.
-- Order: none.
SELECT expires_at > clock_timestamp() + make_interval(secs => $4) AS is_valid
FROM leases
WHERE name = $1 AND holder = $2 AND token = $3
