-- Does: takes the events that waited for the nodes of some sessions, which are known now, or have ended.
-- Params: $1 sessions.
-- Index: waiting_events_pkey, peer_connections_pkey.
-- Cost: one row each.
-- Order: none.
DELETE FROM waiting_events w USING peer_connections p
WHERE w.session_id = ANY($1) AND p.id = w.session_id AND (p.peer_id IS NOT NULL OR p.disconnected_at IS NOT NULL)
RETURNING w.session_id, w.message_id, w.place, w.digest, w.name, w.severity, w."time", w.received_at, w.audit, w.data::text AS data
