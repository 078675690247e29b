-- Does: lists the other servers whose sessions may be open.
-- Params: $1 this server.
-- Index: none; there are few servers.
-- Cost: one row for each server that ever ran.
-- Order: none.
SELECT id, heartbeat_at, heartbeat_interval_s IS NOT NULL AS is_frequent
FROM servers
WHERE id <> $1 AND sessions_ended_at IS NULL
