-- Does: finds the messages that arrived in a span of time.
-- Params: $1 start, $2 end, $3 kinds whose fields are wanted, $4 whether those of messages that may hold an event are wanted too.
-- Index: telemetry_messages_time_idx.
-- Cost: the pages of that time; to look for events about 1 us a message.
-- Order: none.
SELECT id, created_at, peer_connection_id, kind_id, target, node_ts, audit,
       CASE WHEN kind_id = ANY($3) OR text LIKE '%\_e%' OR text LIKE '%\\u00%' THEN text END AS logs
FROM telemetry_rows
-- OFFSET 0, so that the text is made once.
CROSS JOIN LATERAL (SELECT CASE WHEN $4 OR kind_id = ANY($3) THEN logs::text END AS text OFFSET 0) AS json
WHERE created_at >= $1 AND created_at < $2
