-- Does: measures the clocks of nodes by the last messages of their sessions: the time that a message claims minus its arrival,
--   the largest of ten, for a message can be late but not early.
-- Params: $1 sessions, $2 start and $3 end (not part of it) of the window.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx.
-- Cost: ten rows of each session.
-- Order: none; sessions without such messages are left out.
SELECT s.id AS session, max(m.ahead_ms) AS ahead_ms
FROM unnest($1::bigint[]) AS s (id)
CROSS JOIN LATERAL (
    (SELECT coalesce(node_delta_us / 1000, (extract(epoch FROM node_ts - created_at) * 1000)::bigint) AS ahead_ms
     FROM telemetry_messages
     WHERE peer_connection_id = s.id AND created_at >= $2 AND created_at < $3
     ORDER BY created_at DESC LIMIT 10)
    UNION ALL
    (SELECT coalesce(node_delta_us / 1000, (extract(epoch FROM node_ts - created_at) * 1000)::bigint)
     FROM telemetry_messages_audit
     WHERE peer_connection_id = s.id AND created_at >= $2 AND created_at < $3
     ORDER BY created_at DESC LIMIT 10)
) m
WHERE m.ahead_ms IS NOT NULL
GROUP BY s.id
