-- Does: records a heartbeat of a server.
-- Params: $1 server, $2 its version, $3 time of its start, $4 its name,
--   $5 seconds between heartbeats, $6 open sessions, $7 messages per second, $8 seconds
--   since messages last could not be stored at once, or NULL, $9 its clock, $10 messages
--   dropped since its start, $11 bytes in its spool and $12 their limit, $13 days until
--   its disk is full, or NULL.
-- Index: servers_pkey.
-- Cost: one row.
-- Order: none.
INSERT INTO servers (id, version, started_at, heartbeat_at, name, heartbeat_interval_s, sessions, messages_per_s, delayed_at, clock_offset_s,
    messages_dropped, dropped_at, spool_bytes, spool_bytes_max, disk_full_in_days)
VALUES ($1, $2, $3, now(), $4, $5, $6, $7, now() - make_interval(secs => $8), extract(epoch FROM $9 - clock_timestamp()),
    $10, CASE WHEN $10 > 0 THEN now() END, $11, $12, $13)
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
    -- A server that started again counts from 0.
    dropped_at = CASE WHEN excluded.messages_dropped > CASE WHEN servers.started_at = excluded.started_at THEN coalesce(servers.messages_dropped, 0) ELSE 0 END THEN now() ELSE servers.dropped_at END,
    messages_dropped = excluded.messages_dropped,
    spool_bytes = excluded.spool_bytes,
    spool_bytes_max = excluded.spool_bytes_max,
    disk_full_in_days = excluded.disk_full_in_days,
    stopped_at = NULL,
    sessions_ended_at = NULL
