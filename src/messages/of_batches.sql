-- Does: finds the messages of some batches.
-- Params: $1 first and $2 last numbers of runs of messages, $3 earliest and
--   $4 latest arrival, $5 kinds whose fields are wanted, $6 whether those of messages that may hold an event are wanted too.
-- Index: telemetry_messages_time_idx.
-- Cost: the pages of that time; to look for events about 1 us a message.
-- Order: none.
SELECT id, created_at, peer_connection_id, kind_id, target, node_ts, audit,
       CASE WHEN kind_id = ANY($5) OR text LIKE '%\_e%' OR text LIKE '%\\u00%' THEN text END AS logs
FROM telemetry_rows
-- OFFSET 0, so that the text is made once.
CROSS JOIN LATERAL (SELECT CASE WHEN $6 OR kind_id = ANY($5) THEN logs::text END AS text OFFSET 0) AS json
WHERE created_at >= $3 AND created_at <= $4
  AND EXISTS (SELECT FROM unnest($1::bigint[], $2::bigint[]) AS run (first_id, last_id) WHERE id BETWEEN first_id AND last_id)
