-- Does: lists the servers of this database with the jobs that each has.
-- Params: $1 rows.
-- Index: none; there are few servers.
-- Cost: one row for each server that ever ran.
-- Order: the last heartbeat first; id is unique.
SELECT s.id, s.name, s.version, s.started_at, s.heartbeat_at, s.stopped_at,
       coalesce(s.sessions, 0) AS sessions, coalesce(s.messages_per_s, 0) AS messages_per_s,
       s.stopped_at IS NULL AND s.heartbeat_at > now() - CASE WHEN s.heartbeat_interval_s IS NULL THEN interval '5 minutes' ELSE interval '30 seconds' END AS alive,
       ARRAY(SELECT l.name FROM leases l WHERE l.holder = s.id AND l.expires_at > now() ORDER BY l.name) AS leases
FROM servers s
ORDER BY s.heartbeat_at DESC, s.id
LIMIT $1
