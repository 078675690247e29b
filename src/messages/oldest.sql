-- Does: finds the messages of some sessions within a window of time, oldest first.
-- Params: $1 sessions, $2 for each the number after which its messages begin,
--   $3 start and $4 end (not part of it) of the window, $5 created_at and $6 id
--   of the row after which the page begins, or NULL, $7 numbers of kinds or NULL,
--   $8 name that a kind beyond the dictionary has to have or NULL, $9 rows,
--   $10 bytes of JSON: the row that reaches them is the last.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx.
-- Cost: the rows of the sessions in the window, which the caller sizes.
-- Order: oldest first; id is unique.
SELECT id, created_at, peer_connection_id, kind_id, target, logs
FROM (
    SELECT
        shown.*,
        sum(octet_length(logs)) OVER (
            ORDER BY created_at, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM (
        SELECT page.id, page.created_at, page.peer_connection_id, page.kind_id, page.target, page.logs::text AS logs
        FROM (
            SELECT m.id, m.created_at, m.peer_connection_id, m.kind_id, m.target, m.logs
            FROM unnest($1::bigint[], $2::bigint[]) AS session (id, after_id)
            JOIN telemetry_rows m ON m.peer_connection_id = session.id
            WHERE m.created_at >= $3 AND m.created_at < $4
              AND m.id > session.after_id
              AND ($5::timestamptz IS NULL OR (m.created_at, m.id) > ($5, $6))
              AND ($7::smallint[] IS NULL OR m.kind_id = ANY($7))
              AND ($8::text IS NULL OR m.kind_id <> 0 OR m.logs ->> 'msg' = $8)
            ORDER BY m.created_at, m.id
            LIMIT $9
        ) page
        ORDER BY page.created_at, page.id
        -- JSON becomes text once.
        OFFSET 0
    ) shown
) sized
WHERE coalesce(bytes_before, 0) < $10
ORDER BY created_at, id
