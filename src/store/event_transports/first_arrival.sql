-- Does: finds when the first event of a span that passes a filter arrived.
-- Params: $1 to $5 the filter, $6 to $9 the span, $10 how many are looked at.
-- Index: events_id_idx.
-- Cost: the events that are looked at.
-- Order: by number.
SELECT (
    SELECT e.received_at
    FROM (
        SELECT e.id, e.name, e.source, e.severity, e.received_at
        FROM events e
        WHERE {within}
        ORDER BY e.id
        LIMIT $10
    ) e
    WHERE {passes}
    ORDER BY e.id
    LIMIT 1
) AS received_at
