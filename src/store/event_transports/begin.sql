-- Does: begins with a transport; one that is new has the events from now on.
-- Params: $1 its name.
-- Index: event_transports_pkey, events_id_idx.
-- Cost: one row, and of a new one the end of each partition of events.
-- Order: none.
WITH new AS (
    INSERT INTO event_transports (name, cursor_id)
    SELECT $1, coalesce((SELECT max(id) FROM events), 0) WHERE NOT EXISTS (SELECT FROM event_transports WHERE name = $1)
    ON CONFLICT (name) DO NOTHING
    RETURNING cursor_id, retry_at
)
SELECT cursor_id, coalesce(greatest(extract(epoch FROM retry_at - now()), 0), 0)::float8 AS retry_in_s
FROM (SELECT * FROM new UNION ALL SELECT cursor_id, retry_at FROM event_transports WHERE name = $1) AS begun
LIMIT 1
