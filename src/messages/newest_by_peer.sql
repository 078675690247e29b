-- Does: takes the newest message of a kind of each peer within a window of time.
-- Params: $1 kind, $2 start and $3 end (not part of it) of the window, $4 path of
--   the part of the fields that is wanted, $5 peers that are left out, $6 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the messages of the kind in the window, without their JSON; that is unpacked for the newest only.
-- Order: newest first; a peer appears once.
SELECT peer_id, created_at, (logs #> $4::text[])::text AS part
FROM (
    SELECT * FROM (
        SELECT DISTINCT ON (p.peer_id) p.peer_id, m.created_at, m.logs
        FROM telemetry_rows m
        JOIN peer_connections p ON p.id = m.peer_connection_id
        WHERE m.kind_id = $1
          AND m.created_at >= $2 AND m.created_at < $3
          AND p.peer_id IS NOT NULL
          AND p.peer_id <> ALL($5)
        ORDER BY p.peer_id, m.created_at DESC, m.id DESC
    ) each_peer
    ORDER BY created_at DESC, peer_id
    LIMIT $6
) newest
ORDER BY created_at DESC, peer_id
