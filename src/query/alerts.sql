-- Does: finds alerts.
-- Params: $1 whether they are open or NULL, $2 rule or NULL, $3 severities, $4 name or genesis hash of the chain or NULL,
--   $5 peer id or NULL, $6 number before which they come, or NULL, $7 rows.
-- Index: alerts_pkey, alert_silences_end_idx.
-- Cost: the rows of the answer, and with a filter those between them.
-- Order: the newest first.
SELECT a.id, a.rule, a.severity, a.subject, a.peer_id, a.genesis_hash, a.name, a.chain, a.server_id, a.summary,
       a.began_at, a.fired_at, a.resolved_at, a.flaps,
       a.resolved_at IS NULL AND EXISTS (
           SELECT FROM alert_silences s
           WHERE s.ends_at > now() AND (s.rule IS NULL OR s.rule = a.rule) AND (s.peer_id IS NULL OR s.peer_id = a.peer_id)
             AND (s.chain IS NULL OR s.chain = a.chain OR s.chain = a.genesis_hash)
       ) AS silenced
FROM alerts a
WHERE ($1::boolean IS NULL OR (a.resolved_at IS NULL) = $1)
  AND ($2::text IS NULL OR a.rule = $2)
  AND a.severity = ANY($3)
  AND ($4::text IS NULL OR a.chain = $4 OR a.genesis_hash = $4)
  AND ($5::text IS NULL OR a.peer_id = $5)
  AND ($6::bigint IS NULL OR a.id < $6)
ORDER BY a.id DESC
LIMIT $7
