-- Does: finds the oldest events that pass a filter until they have so many bytes.
-- Params: $1 to $5 the filter, $6 to $9 the span, $10 how many are looked at, $11 bytes.
-- Index: events_id_idx.
-- Cost: the events that are looked at.
-- Order: by number.
SELECT count(*) FILTER (WHERE size > 0) AS events, coalesce(sum(size), 0)::bigint AS bytes, coalesce(max(id), $6) AS upto, count(*) AS looked_at
FROM (
    SELECT id, size, sum(size) OVER (ORDER BY id) - size AS before
    FROM (
        SELECT e.id, CASE WHEN {passes} THEN {bytes} ELSE 0 END AS size
        FROM events e
        WHERE {within}
        ORDER BY e.id
        LIMIT $10
    ) e
) e
WHERE before < $11
