-- Does: finds when a node last sent a message of a kind in each of some buckets
--   that follow each other; for buckets that end with messages of other kinds.
-- Params: $1 kind, $2 a field that has to be a number, $3 sessions, $4 start
--   and $5 end (not part of it) of the buckets, $6 seconds of a bucket.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the messages of the kind of the sessions in the partitions of the buckets.
-- Order: none; at most one row for each bucket, counted from 0.
SELECT DISTINCT ON (bucket) bucket, session, sent_at AS created_at
FROM (
    SELECT floor(extract(epoch FROM created_at - $4) / $6)::int AS bucket,
           peer_connection_id AS session,
           max(created_at) AS sent_at
    FROM telemetry_rows
    WHERE kind_id = $1
      AND telemetry_integer(logs, $2) IS NOT NULL
      AND peer_connection_id = ANY($3)
      AND created_at >= $4 AND created_at < $5
    GROUP BY bucket, session
) sent
ORDER BY bucket, sent_at DESC, session DESC
