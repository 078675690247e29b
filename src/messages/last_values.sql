-- Does: looks for the last message of a kind within a span of time of a session,
--   among the last messages of that span; many such lookups at once. A lookup
--   that gives up returns the oldest message that it read, without its fields.
-- Params: of each lookup $1 the session, $2 start and $3 end (not part of it) of
--   the span, $4 the kind and $5 another that will do, $6 a field that has
--   to be a number; $7 start and $8 end of all spans, so that other
--   partitions stay out of the plan; $9 messages that a lookup reads.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx.
-- Cost: from the end of the span back to the message, at most $9 rows a lookup.
-- Order: none; at most one row for each lookup, counted from 1.
SELECT asked.lookup, found.created_at, found.kind_id, CASE WHEN found.matches THEN found.logs::text END AS logs
FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
    AS asked (session, since, until, kind_id, other_kind_id, field, lookup)
CROSS JOIN LATERAL (
    SELECT *
    FROM (
        SELECT *,
               kind_id IN (asked.kind_id, asked.other_kind_id)
                   AND telemetry_integer(logs, asked.field) IS NOT NULL AS matches,
               row_number() OVER () AS seen
        FROM (
            SELECT created_at, kind_id, logs
            FROM telemetry_rows
            WHERE peer_connection_id = asked.session
              AND created_at >= asked.since AND created_at < asked.until
              AND created_at >= $7 AND created_at < $8
            ORDER BY created_at DESC
            LIMIT $9
        ) tail
    ) counted
    WHERE matches OR seen = $9
    LIMIT 1
) found
