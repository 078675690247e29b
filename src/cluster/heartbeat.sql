-- Does: records a heartbeat of a server.
-- Params: $1 server, $2 its version, $3 time of its start, $4 its name,
--   $5 seconds between heartbeats, $6 open sessions, $7 messages per second, $8 seconds
--   since messages last could not be stored at once, or NULL, $9 its clock.
-- Index: servers_pkey.
-- Cost: one row.
-- Order: none.
INSERT INTO servers (id, version, started_at, heartbeat_at, name, heartbeat_interval_s, sessions, messages_per_s, delayed_at, clock_offset_s)
VALUES ($1, $2, $3, now(), $4, $5, $6, $7, now() - make_interval(secs => $8), extract(epoch FROM $9 - now()))
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version,
    started_at = excluded.started_at,
    heartbeat_at = excluded.heartbeat_at,
    name = excluded.name,
    heartbeat_interval_s = excluded.heartbeat_interval_s,
    sessions = excluded.sessions,
    messages_per_s = excluded.messages_per_s,
    delayed_at = excluded.delayed_at,
    clock_offset_s = excluded.clock_offset_s,
    stopped_at = NULL,
    sessions_ended_at = NULL
