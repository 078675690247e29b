-- Does: counts the messages of a kind by target within a window of time.
-- Params: $1 kind, $2 start and $3 end (not part of it) of the window, $4 sessions
--   or NULL for all.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the messages of the kind in the window.
-- Order: none; the caller adds up windows and sorts.
SELECT target, count(*) AS count,
       coalesce(array_agg(DISTINCT logs ->> 'name') FILTER (WHERE logs ? 'name'), '{}') AS names
FROM telemetry_rows
WHERE kind_id = $1
  AND target IS NOT NULL
  AND created_at >= $2 AND created_at < $3
  AND ($4::bigint[] IS NULL OR peer_connection_id = ANY($4))
GROUP BY target
