-- Does: counts the messages of some sessions by kind within a window of time.
-- Params: $1 sessions, $2 start and $3 end (not part of it) of the window.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx.
-- Cost: all rows of the sessions in the window.
-- Order: none; the caller adds up windows and sorts.
SELECT k.msg, counted.count
FROM (
    SELECT kind_id, count(*) AS count
    FROM telemetry_rows
    WHERE peer_connection_id = ANY($1) AND created_at >= $2 AND created_at < $3
    GROUP BY kind_id
) counted
JOIN message_kinds k ON k.id = counted.kind_id
