-- Does: counts events that pass a filter, and their bytes.
-- Params: $1 to $5 the filter, $6 to $9 the span, $10 how many are looked at.
-- Index: events_id_idx.
-- Cost: the events that are looked at.
-- Order: by number.
SELECT count(*) FILTER (WHERE {passes}) AS events, coalesce(sum(e.bytes) FILTER (WHERE {passes}), 0)::bigint AS bytes,
       coalesce(max(e.id), $6) AS upto, count(*) AS looked_at
FROM (
    SELECT e.id, e.name, e.source, e.severity, {bytes} AS bytes
    FROM events e
    WHERE {within}
    ORDER BY e.id
    LIMIT $10
) e
