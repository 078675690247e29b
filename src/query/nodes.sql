-- Does: finds the latest session of each peer; sessions without a peer id do not appear.
-- Params: $1 chain or NULL, $2 name or NULL, $3 online or NULL, $4 rows.
-- Index: peer_connections_peer_idx, jumping from one peer to the next.
-- Cost: two rows for each peer, however many old sessions there are.
-- Order: newest session first; id is unique.
WITH RECURSIVE peers (peer_id) AS (
    (SELECT peer_id FROM peer_connections WHERE peer_id IS NOT NULL ORDER BY peer_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.peer_id FROM peer_connections p WHERE p.peer_id > peers.peer_id ORDER BY p.peer_id LIMIT 1)
    FROM peers
    WHERE peers.peer_id IS NOT NULL
)
SELECT latest.*, latest.disconnected_at IS NULL AS online
FROM peers
CROSS JOIN LATERAL (
    SELECT * FROM peer_connections p
    WHERE p.peer_id = peers.peer_id
    ORDER BY p.created_at DESC, p.id DESC
    LIMIT 1
) latest
WHERE ($1::text IS NULL OR latest.chain = $1)
  AND ($2::text IS NULL OR latest.name = $2)
  AND ($3::boolean IS NULL OR (latest.disconnected_at IS NULL) = $3)
ORDER BY latest.created_at DESC, latest.id DESC
LIMIT $4
