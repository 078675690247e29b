-- Does: records the orderly stop of a server, and frees its leases.
-- Params: $1 server.
-- Index: servers_pkey, leases_pkey.
-- Cost: one row for each job.
-- Order: none.
WITH stopped AS (
    UPDATE servers SET stopped_at = now(), sessions = 0, messages_per_s = 0 WHERE id = $1
)
UPDATE leases SET expires_at = now() WHERE holder = $1 AND expires_at > now()
