-- Does: reads the spans (tracing.profiling) of a range that lie beside an inner one; part
--   of a statement that has them as spans_beside.
-- Params: $1 kind, $2 start, $3 start and $4 end of the inner range, $5 end (not part of
--   it), $6 sessions or NULL for all.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the spans in the partitions of the two parts.
-- Order: none.
SELECT created_at, target, logs ->> 'name' AS name, telemetry_number(logs, 'time') AS time
FROM (
    SELECT created_at, target, logs FROM telemetry_rows
    WHERE kind_id = $1 AND created_at >= $2 AND created_at < $3 AND ($6::bigint[] IS NULL OR peer_connection_id = ANY($6))
    UNION ALL
    SELECT created_at, target, logs FROM telemetry_rows
    WHERE kind_id = $1 AND created_at >= $4 AND created_at < $5 AND ($6::bigint[] IS NULL OR peer_connection_id = ANY($6))
) AS messages
-- The time is read once.
OFFSET 0
