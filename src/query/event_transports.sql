-- Does: tells how some transports of events do.
-- Params: $1 names, $2 their names in the outbox.
-- Index: event_transports_pkey, outbox_due_idx.
-- Cost: one row each, and what was refused and waits.
-- Order: as they are given.
SELECT t.name, coalesce(e.pending, 0) AS pending, coalesce(e.pending_bytes, 0) AS pending_bytes,
       coalesce(extract(epoch FROM now() - e.oldest_pending_at), 0)::float8 AS oldest_pending_s,
       coalesce(e.sent, 0) AS sent, coalesce(e.failed, 0) AS failed, coalesce(e.dead, 0) AS dead, coalesce(e.dropped, 0) AS dropped,
       (SELECT count(*) FROM outbox o WHERE o.target = t.outbox_name AND o.done_at IS NULL) AS refused,
       e.sent_at, e.retry_at, e.error AS last_error, e.error_at AS last_error_at, d.disabled_at,
       CASE WHEN d.disabled_at IS NOT NULL THEN 'disabled' WHEN e.name IS NULL THEN 'starting' WHEN e.retry_at IS NOT NULL THEN 'waiting' ELSE 'sending' END AS state
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (name, outbox_name, place)
LEFT JOIN event_transports e ON e.name = t.name
LEFT JOIN notify_targets d ON d.name = t.outbox_name
ORDER BY t.place
