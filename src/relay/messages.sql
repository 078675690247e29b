-- Does: finds the messages of some batches.
-- Params: $1 first and $2 last numbers of the batches, $3 earliest and $4 latest
--   time of their messages, $5 sessions or NULL for all of other servers,
--   $6 kinds or NULL, $7 name of this server, $8 rows.
-- Index: telemetry_messages_session_idx with sessions, else telemetry_messages_time_idx.
-- Cost: the messages of those sessions in that time.
-- Order: by number, as their server received them.
SELECT m.id, m.created_at, m.peer_connection_id,
       CASE m.kind_id WHEN 0 THEN coalesce(m.logs ->> 'msg', '') ELSE m.msg END AS msg, m.logs::text AS logs
FROM telemetry_logs m
WHERE m.created_at >= $3 AND m.created_at <= $4
  AND EXISTS (SELECT 1 FROM unnest($1::bigint[], $2::bigint[]) AS batch (first_id, last_id) WHERE m.id BETWEEN first_id AND last_id)
  AND ($5::bigint[] IS NULL OR m.peer_connection_id = ANY($5))
  AND ($5::bigint[] IS NOT NULL OR EXISTS (SELECT 1 FROM peer_connections p WHERE p.id = m.peer_connection_id AND p.server_id <> $7))
  AND ($6::text[] IS NULL OR m.kind_id = 0 OR m.msg = ANY($6))
ORDER BY m.id
LIMIT $8
