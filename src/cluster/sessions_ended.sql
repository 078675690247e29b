-- Does: records that the sessions of some servers were ended by another.
-- Params: $1 servers.
-- Index: servers_pkey.
-- Cost: one row each.
-- Order: none.
UPDATE servers SET sessions_ended_at = now() WHERE id = ANY($1)
