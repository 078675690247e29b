-- Does: finds messages of some batches, by their sessions and kinds.
-- Params: $1 first and $2 last numbers of runs of messages, $3 earliest and
--   $4 latest arrival, $5 sessions or NULL, $6 numbers of kinds or NULL.
-- Index: telemetry_messages_time_idx; peer_connections_pkey.
-- Cost: the pages of that time.
-- Order: by number, as their server received them.
-- A message may be stored before its session; its node is known later.
SELECT id, created_at, peer_connection_id, kind_id, target, logs::text AS logs
FROM telemetry_rows
WHERE created_at >= $3 AND created_at <= $4
  AND EXISTS (SELECT FROM unnest($1::bigint[], $2::bigint[]) AS run (first_id, last_id) WHERE id BETWEEN first_id AND last_id)
  AND ($6::smallint[] IS NULL OR kind_id = ANY($6))
  AND ($5::bigint[] IS NULL OR peer_connection_id = ANY($5)
       OR NOT EXISTS (SELECT FROM peer_connections p WHERE p.id = peer_connection_id))
ORDER BY id
