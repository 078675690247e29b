-- Does: enters a server, or says that it lives.
-- Params: $1 server, $2 its version, $3 time of its start.
-- Index: servers_pkey.
-- Cost: one row.
-- Order: none.
INSERT INTO servers (id, version, started_at, heartbeat_at) VALUES ($1, $2, $3, now())
ON CONFLICT (id) DO UPDATE SET version = excluded.version, started_at = excluded.started_at, heartbeat_at = now()
