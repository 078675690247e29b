-- Does: keeps alerts that fire.
-- Params: $1 to $11 columns of alerts as arrays, in the order of the list, $12 the time.
-- Index: alerts_open_idx, alerts_key_idx.
-- Cost: the rows.
-- Order: by key, so that two transactions never wait for each other in a circle.
INSERT INTO alerts (rule, key, severity, subject, peer_id, genesis_hash, name, chain, server_id, summary, began_at, fired_at, flaps)
SELECT v.rule, v.key, v.severity, v.subject, v.peer_id, v.genesis_hash, v.name, v.chain, v.server_id, v.summary, v.began_at, $12,
       (SELECT count(*) FROM alerts e WHERE e.rule = v.rule AND e.key = v.key AND e.resolved_at > $12 - interval '1 hour')
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     AS v (rule, key, severity, subject, peer_id, genesis_hash, name, chain, server_id, summary, began_at)
ORDER BY v.rule, v.key
ON CONFLICT (rule, key) WHERE resolved_at IS NULL DO NOTHING
