-- Does: finds the newest messages of some kinds, of all nodes, within a window of time.
-- Params: $1 kinds, $2 start and $3 end (not part of it) of the window, $4 created_at and $5 id of the row after which the page
--   begins, or NULL, $6 name or genesis hash of the chain or NULL, $7 peer id or NULL, $8 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx; peer_connections_pkey.
-- Cost: the messages of these kinds in the window, without their JSON; that is unpacked for the rows of the page only.
-- Order: newest first; id is unique.
SELECT id, created_at, peer_connection_id, kind_id, target, logs::text AS logs, peer_id, name, chain, genesis_hash
FROM (
    SELECT m.id, m.created_at, m.peer_connection_id, m.kind_id, m.target, m.logs, p.peer_id, p.name, p.chain, p.genesis_hash
    FROM telemetry_rows m
    JOIN peer_connections p ON p.id = m.peer_connection_id
    WHERE m.kind_id = ANY($1)
      AND m.created_at >= $2 AND m.created_at < $3
      AND ($4::timestamptz IS NULL OR (m.created_at, m.id) < ($4, $5))
      AND p.peer_id IS NOT NULL
      AND ($6::text IS NULL OR p.chain = $6 OR p.genesis_hash = nullif($6, ''))
      AND ($7::text IS NULL OR p.peer_id = $7)
    ORDER BY m.created_at DESC, m.id DESC
    LIMIT $8
) page
ORDER BY created_at DESC, id DESC
