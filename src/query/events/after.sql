-- Does: finds the events after a number.
-- Params: $1 number, $2 rows, $3 earliest and $4 latest arrival of these.
-- Index: event_identities_id_idx, events_id_idx.
-- Cost: the rows of the answer.
-- Order: by number.
SELECT e.id, e.event_id, e.source, e.peer_id, e.genesis_hash, e.chain, e.name, e.severity, e."time", e.received_at AS created_at, e.data
FROM (SELECT id, received_at, audit FROM event_identities WHERE id > $1 ORDER BY id LIMIT $2) AS next
JOIN events e ON e.audit = next.audit AND e.received_at = next.received_at AND e.id = next.id
WHERE e.received_at >= $3 AND e.received_at <= $4
ORDER BY e.id
