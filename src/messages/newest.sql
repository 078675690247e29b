-- Does: finds the newest messages of some sessions within a window of time.
-- Params: $1 sessions, $2 start and $3 end (not part of it) of the window,
--   $4 created_at and $5 id of the row after which the page begins, or NULL,
--   $6 numbers of kinds or NULL, $7 target or NULL, $8 rows, $9 name that a kind
--   beyond the dictionary has to have or NULL, $10 bytes of JSON: the row that
--   reaches them is the last, $11 text that the JSON contains or NULL, $12 whether
--   that may not be part of an IP address.
-- Index: telemetry_messages_session_idx and telemetry_messages_audit_session_idx;
--   with a kind telemetry_messages_kind_idx, with a target telemetry_messages_target_idx.
-- Cost: the rows of the sessions in the window, which the caller sizes; JSON is
--   unpacked for the rows of the page only, with a text for all.
-- Order: newest first; id is unique.
SELECT id, created_at, peer_connection_id, kind_id, target, logs
FROM (
    SELECT
        shown.*,
        sum(octet_length(logs)) OVER (
            ORDER BY created_at DESC, id DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM (
        SELECT page.id, page.created_at, page.peer_connection_id, page.kind_id, page.target, page.logs::text AS logs
        FROM (
            SELECT id, created_at, peer_connection_id, kind_id, target, logs
            FROM telemetry_rows
            WHERE peer_connection_id = ANY($1)
              AND created_at >= $2 AND created_at < $3
              AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5))
              AND ($6::smallint[] IS NULL OR kind_id = ANY($6))
              AND ($7::text IS NULL OR target = $7)
              AND ($9::text IS NULL OR kind_id <> 0 OR logs ->> 'msg' = $9)
              AND ($11::text IS NULL OR strpos(
                  lower(CASE WHEN $12 THEN regexp_replace(logs::text, '/(ip[46])/[0-9a-fA-F.:]+', '/\1/-', 'g') ELSE logs::text END COLLATE "C"),
                  lower($11 COLLATE "C")
              ) > 0)
            ORDER BY created_at DESC, id DESC
            LIMIT $8
        ) page
        ORDER BY page.created_at DESC, page.id DESC
        -- JSON becomes text once.
        OFFSET 0
    ) shown
) sized
WHERE coalesce(bytes_before, 0) < $10
ORDER BY created_at DESC, id DESC
