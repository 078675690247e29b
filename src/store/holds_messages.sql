-- Does: checks whether a message of a batch is stored.
-- Params: $1 and $2 lowest and highest number, $3 and $4 earliest and latest arrival.
-- Index: none on numbers; BRIN on created_at.
-- Cost: the messages that arrived within the span, which is short.
-- Order: none; one row.
SELECT EXISTS (
    SELECT FROM telemetry_messages WHERE created_at >= $3 AND created_at <= $4 AND id >= $1 AND id <= $2
) OR EXISTS (
    SELECT FROM telemetry_messages_audit WHERE created_at >= $3 AND created_at <= $4 AND id >= $1 AND id <= $2
) AS found
