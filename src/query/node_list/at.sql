-- Does: finds the nodes as they were at a moment: the session that was their latest then, the status that they had, and what they
--   had reported last in that hour or one before, for at most a day.
-- Params: $1 name or genesis hash of the chain or NULL, $2 name or NULL, $3 states or NULL, $4 the moment,
--   $5 start and $6 number of the session after which the page begins, or NULL, $7 rows.
-- Index: peer_connections_peer_idx, status_changes_node_idx, node_hours_pkey.
-- Cost: every node that was seen from a day before the moment on.
-- Order: newest session first; id is unique.
SELECT p.*, p.created_at AS session_at, n.genesis_hash AS of_chain, ''::text AS sort_key,
       st.state NOT IN ('online', 'syncing', 'down') AS attention, NULL::double precision AS uptime,
       least(coalesce(p.disconnected_at, p.last_seen_at), $4) AS seen_at, p.disconnected_at IS NULL OR p.disconnected_at > $4 AS online,
       NULL::text AS authority_id, NULL::boolean AS is_in_authority_set, NULL::bigint AS clock_ahead_ms,
       st.state, st.reason AS state_reason, st.since AS state_since,
       h.best_height, NULL::text AS best_hash, h.best_at, h.finalized_height, NULL::text AS finalized_hash, h.finalized_at, h.best_height - h.finalized_height AS finality_lag,
       NULL::bigint AS behind, h.peers, h.download_bytes_per_s, h.upload_bytes_per_s, h.transactions, h.state_cache_bytes
FROM nodes n
CROSS JOIN LATERAL (
    SELECT q.* FROM peer_connections q
    WHERE q.peer_id = n.peer_id AND coalesce(q.genesis_hash, '') = n.genesis_hash AND q.created_at <= $4
    ORDER BY q.peer_id, q.created_at DESC, q.id DESC LIMIT 1
) p
LEFT JOIN LATERAL (
    SELECT c.to_state, c.reason, c.since FROM status_changes c
    WHERE c.peer_id = n.peer_id AND c.genesis_hash = n.genesis_hash AND c.changed_at <= $4
    ORDER BY c.id DESC LIMIT 1
) before ON true
LEFT JOIN LATERAL (
    SELECT c.from_state FROM status_changes c
    WHERE c.peer_id = n.peer_id AND c.genesis_hash = n.genesis_hash AND c.changed_at > $4
    ORDER BY c.id LIMIT 1
) after ON true
CROSS JOIN LATERAL (
    SELECT coalesce(before.to_state, after.from_state, CASE WHEN p.disconnected_at IS NULL OR p.disconnected_at > $4 THEN 'online' ELSE 'offline' END) AS state,
           before.reason, coalesce(before.since, CASE WHEN p.disconnected_at <= $4 THEN p.disconnected_at ELSE p.created_at END) AS since
) st
LEFT JOIN LATERAL (
    SELECT * FROM node_hours h
    WHERE h.peer_id = n.peer_id AND h.genesis_hash = n.genesis_hash AND h.hour <= $4 AND h.hour > $4 - interval '1 day' AND h.messages > 0
    ORDER BY h.hour DESC LIMIT 1
) h ON true
WHERE n.first_seen_at <= $4
  -- A session may end some time after its last message.
  AND n.last_seen_at > $4 - interval '1 day 1 hour'
  AND (p.disconnected_at IS NULL OR p.disconnected_at > $4 - interval '1 day')
  AND ($1::text IS NULL OR n.chain = $1 OR n.genesis_hash = nullif($1, ''))
  AND ($2::text IS NULL OR n.name = $2)
  AND ($3::text[] IS NULL OR st.state = ANY($3))
  AND ($5::timestamptz IS NULL OR (p.created_at, p.id) < ($5, $6))
ORDER BY p.created_at DESC, p.id DESC
LIMIT $7
