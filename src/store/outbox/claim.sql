-- Does: claims deliveries of a target that are due.
-- Params: $1 target, $2 seconds for which they are claimed, $3 rows.
-- Index: outbox_due_idx.
-- Cost: what waits for the target.
-- Order: what is due first; of one alert only the oldest, so that its end never comes before its beginning.
UPDATE outbox o
SET claimed_until = now() + make_interval(secs => $2), attempts = o.attempts + 1
FROM (
    SELECT d.created_at, d.id FROM outbox d
    WHERE d.target = $1 AND d.done_at IS NULL AND d.due_at <= now() AND (d.claimed_until IS NULL OR d.claimed_until < now())
      AND NOT EXISTS (
          SELECT FROM outbox earlier
          WHERE earlier.target = d.target AND earlier.done_at IS NULL AND earlier.alert_id = d.alert_id AND earlier.id < d.id
      )
    ORDER BY d.due_at, d.id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
) due
WHERE o.created_at = due.created_at AND o.id = due.id
RETURNING o.id, o.created_at, o.message_id, o.payload, o.attempts
