-- Does: finds the messages that arrived in a span of time.
-- Params: $1 start, $2 end, $3 kinds whose fields are wanted.
-- Index: telemetry_messages_time_idx.
-- Cost: the pages of that time.
-- Order: none.
SELECT id, created_at, peer_connection_id, kind_id, target,
       CASE WHEN kind_id = ANY($3) THEN logs::text END AS logs
FROM telemetry_rows
WHERE created_at >= $1 AND created_at < $2
