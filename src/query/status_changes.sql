-- Does: finds changes of status.
-- Params: $1 name or genesis hash of the chain or NULL, $2 peer id or NULL, $3 state that they led to or NULL,
--   $4 whether parts of larger changes are among them, $5 first moment and $6 moment after the last or NULL,
--   $7 number after which they come, or NULL, $8 number before which they come, or NULL, $9 rows.
-- Index: status_changes_whole_idx; of a node status_changes_node_idx.
-- Cost: the rows of the answer, and with a filter those between them.
-- Order: the newest first; for what comes after a number this is turned around.
SELECT c.id, c.subject, nullif(c.peer_id, '') AS peer_id, nullif(c.genesis_hash, '') AS genesis_hash, c.name, c.chain,
       c.from_state, c.to_state, c.reason, c.since, c.changed_at, c.part_of, c.nodes
FROM status_changes c
WHERE ($1::text IS NULL OR c.chain = $1 OR c.genesis_hash = nullif($1, ''))
  AND ($2::text IS NULL OR c.peer_id = $2)
  AND ($3::text IS NULL OR c.to_state = $3)
  AND ($4::boolean OR c.part_of IS NULL)
  AND ($5::timestamptz IS NULL OR c.changed_at >= $5)
  AND ($6::timestamptz IS NULL OR c.changed_at < $6)
  AND ($7::bigint IS NULL OR c.id > $7)
  AND ($8::bigint IS NULL OR c.id < $8)
ORDER BY c.id DESC
LIMIT $9
