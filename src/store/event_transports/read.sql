-- Does: reads events that pass a filter.
-- Params: $1 to $5 the filter, $6 to $9 the span, $10 rows, $11 bytes of their texts, but for one that has more.
-- Index: events_id_idx.
-- Cost: the events of the span.
-- Order: by number.
SELECT id, bytes, event_id, source, peer_id, genesis_hash, chain, name, severity, "time", received_at, data
FROM (
    SELECT e.*, sum(octet_length(e.data)) OVER (ORDER BY e.id) - octet_length(e.data) AS before
    FROM (
        SELECT e.id, {bytes} AS bytes, e.event_id, e.source, e.peer_id, e.genesis_hash, e.chain, e.name, e.severity,
               e."time", e.received_at, e.data::text AS data
        FROM events e
        WHERE {within} AND {passes}
        ORDER BY e.id
        LIMIT $10
    ) e
) e
WHERE before <= $11
ORDER BY id
