-- Does: tells whether another server writes into this database.
-- Params: $1 name of this server.
-- Index: none; there are few servers.
-- Cost: one row for each server.
-- Order: none.
SELECT EXISTS (
    SELECT 1 FROM servers WHERE id <> $1 AND heartbeat_at > now() - interval '10 minutes'
) AS there_are
