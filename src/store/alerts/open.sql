-- Does: lists the alerts that are open, and whether each is silenced now.
-- Params: $1 rows.
-- Index: alerts_open_idx, alert_silences_end_idx.
-- Cost: the open alerts times the silences in force.
-- Order: none.
SELECT a.id, a.rule, a.key, a.severity, a.subject, a.peer_id, a.genesis_hash, a.name, a.chain, a.server_id, a.summary,
       a.began_at, a.fired_at, a.absent_since, a.resolved_at, a.flaps, a.delivered,
       EXISTS (
           SELECT FROM alert_silences s
           WHERE s.ends_at > now() AND (s.rule IS NULL OR s.rule = a.rule) AND (s.peer_id IS NULL OR s.peer_id = a.peer_id)
             AND (s.chain IS NULL OR s.chain = a.chain OR s.chain = a.genesis_hash)
       ) AS silenced
FROM alerts a
WHERE a.resolved_at IS NULL
LIMIT $1
