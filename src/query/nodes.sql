-- Does: finds the latest session of each peer; sessions without a peer id do not appear.
-- Params: $1 chain or NULL, $2 name or NULL, $3 online or NULL, $4 rows.
-- Index: peer_connections_peer_idx, jumping from one peer to the next.
-- Cost: one row for each peer, however many old sessions there are.
-- Order: newest session first; id is unique.
WITH RECURSIVE latest AS (
    (
        SELECT * FROM peer_connections
        WHERE peer_id IS NOT NULL
        ORDER BY peer_id, created_at DESC, id DESC
        LIMIT 1
    )
    UNION ALL
    SELECT following.*
    FROM latest
    CROSS JOIN LATERAL (
        SELECT * FROM peer_connections p
        WHERE p.peer_id > latest.peer_id
        ORDER BY p.peer_id, p.created_at DESC, p.id DESC
        LIMIT 1
    ) following
)
SELECT latest.*, disconnected_at IS NULL AS online
FROM latest
WHERE ($1::text IS NULL OR chain = $1)
  AND ($2::text IS NULL OR name = $2)
  AND ($3::boolean IS NULL OR (disconnected_at IS NULL) = $3)
ORDER BY created_at DESC, id DESC
LIMIT $4
