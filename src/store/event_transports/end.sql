-- Does: finds up to which event a statement looks.
-- Params: $1 to $5 the filter, which changes nothing here, $6 to $9 the span, $10 how many are looked at.
-- Index: events_id_idx.
-- Cost: the events that are looked at, in the index alone unless a time of arrival is given.
-- Order: by number.
SELECT max(id) AS id
FROM (
    SELECT e.id FROM events e
    WHERE {within}
    ORDER BY e.id
    LIMIT $10
) looked_at
