-- Does: keeps how far a transport is.
-- Params: $1 name, $2 cursor, $3 events sent, $4 attempts that failed, $5 events given up, $6 events dropped,
--   $7 what the attempt failed with, or why a part was refused, or NULL, $8 milliseconds until the next attempt if it failed, else 0.
-- Index: event_transports_pkey.
-- Cost: one row.
-- Order: none.
UPDATE event_transports SET
    cursor_id = greatest(cursor_id, $2),
    sent = sent + $3,
    failed = failed + $4,
    dead = dead + $5,
    dropped = dropped + $6,
    sent_at = CASE WHEN $3 > 0 THEN now() ELSE sent_at END,
    retry_at = CASE WHEN $8 > 0 THEN now() + $8 * interval '1 millisecond' END,
    error = coalesce($7, error),
    error_at = CASE WHEN $7 IS NULL THEN error_at ELSE now() END,
    updated_at = now()
WHERE name = $1
