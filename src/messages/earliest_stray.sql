-- Does: finds the arrival of the oldest message outside of all partitions.
-- Params: $1 time from which on, or NULL.
-- Index: none; there are few such messages.
-- Cost: those messages.
-- Order: none; one row.
SELECT least(
    (SELECT min(created_at) FROM telemetry_messages_default WHERE $1::timestamptz IS NULL OR created_at >= $1),
    (SELECT min(created_at) FROM telemetry_messages_audit_default WHERE $1::timestamptz IS NULL OR created_at >= $1)
) AS created_at
