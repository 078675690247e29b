-- Does: lists the servers that ran lately.
-- Params: none.
-- Index: none; there are few servers.
-- Cost: one row for each server that ever ran.
-- Order: none.
SELECT id, started_at, heartbeat_at, stopped_at IS NOT NULL AS is_stopped, delayed_at, clock_offset_s
FROM servers
WHERE heartbeat_at > now() - interval '1 day'
