-- Does: counts the messages of some sessions by kind within a window of time.
-- Params: $1 sessions, $2 start and $3 end (not part of it) of the window.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx.
-- Cost: all rows of the sessions in the window.
-- Order: none; the caller adds up windows and sorts.
SELECT count(*) AS qty, msg AS log_type
FROM telemetry_logs
WHERE peer_connection_id = ANY($1) AND created_at >= $2 AND created_at < $3
GROUP BY msg
