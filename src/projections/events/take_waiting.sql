-- Does: takes some of the events that waited for the nodes of these sessions, which are known now, or have ended; in the
--   order of their messages.
-- Params: $1 sessions, $2 events at most.
-- Index: waiting_events_pkey, peer_connections_pkey.
-- Cost: one row each, and a look at each that waits.
-- Order: none.
DELETE FROM waiting_events w USING (
    SELECT f.session_id, f.message_id, f.place FROM waiting_events f JOIN peer_connections p ON p.id = f.session_id
    WHERE f.session_id = ANY($1) AND (p.peer_id IS NOT NULL OR p.disconnected_at IS NOT NULL)
    ORDER BY f.session_id, f.message_id, f.place LIMIT $2
) taken
WHERE w.session_id = taken.session_id AND w.message_id = taken.message_id AND w.place = taken.place
RETURNING w.session_id, w.message_id, w.place, w.digest, w.name, w.severity, w."time", w.received_at, w.audit, w.data::text AS data
