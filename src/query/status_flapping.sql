-- Does: finds the nodes that fell silent most often since a moment, each for itself and not with most of its chain.
-- Params: $1 first moment, $2 how often at least, $3 name or genesis hash of the chain or NULL, $4 rows.
-- Index: status_changes_time_idx.
-- Cost: the changes since then.
-- Order: the most often first; peer id and chain are unique.
SELECT c.peer_id, nullif(c.genesis_hash, '') AS genesis_hash, max(c.name) AS name, max(c.chain) AS chain, count(*) AS falls, max(c.changed_at) AS last_at
FROM status_changes c
WHERE c.changed_at >= $1 AND c.subject = 'node' AND c.part_of IS NULL
  AND c.to_state IN ('late', 'missing', 'offline', 'telemetry_lost')
  AND coalesce(c.from_state, '') NOT IN ('late', 'missing', 'offline', 'telemetry_lost')
  AND ($3::text IS NULL OR c.chain = $3 OR c.genesis_hash = nullif($3, ''))
GROUP BY c.peer_id, c.genesis_hash
HAVING count(*) >= $2
ORDER BY falls DESC, c.peer_id, c.genesis_hash
LIMIT $4
