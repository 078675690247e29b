-- Does: lists the targets of the spans (tracing.profiling) seen within a range.
-- Params: $1 start and $2 end (part of it), $3 peer or NULL for all.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the spans in the range.
-- Order: target, which is unique here.
SELECT l.target, count(*) AS qty, array_agg(DISTINCT l.logs ->> 'name' ORDER BY l.logs ->> 'name') FILTER (WHERE l.logs ? 'name') AS names
FROM telemetry_logs l
WHERE l.msg = 'tracing.profiling'
  AND l.target IS NOT NULL
  AND l.created_at >= $1 AND l.created_at <= $2
  AND ($3::text IS NULL OR l.peer_connection_id = ANY (ARRAY(SELECT p.id FROM peer_connections p WHERE p.peer_id = $3)))
GROUP BY l.target
ORDER BY l.target
