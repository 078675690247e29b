-- Does: finds heartbeats of a service.
-- Params: $1 service, $2 first moment and $3 moment after the last or NULL, $4 rows.
-- Index: service_heartbeats_pkey.
-- Cost: the rows of the answer.
-- Order: the newest first; of a service there is one at a time.
SELECT created_at, is_down, metrics FROM service_heartbeats
WHERE service = $1 AND ($2::timestamptz IS NULL OR created_at >= $2) AND ($3::timestamptz IS NULL OR created_at < $3)
ORDER BY created_at DESC
LIMIT $4
