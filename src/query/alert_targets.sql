-- Does: tells how deliveries to some targets go.
-- Params: $1 names.
-- Index: none; the outbox has what changed within some days.
-- Cost: the deliveries of these days.
-- Order: by name.
SELECT t.name, count(o.id) FILTER (WHERE o.done_at IS NULL) AS pending,
       coalesce(extract(epoch FROM now() - min(o.created_at) FILTER (WHERE o.done_at IS NULL)), 0)::float8 AS oldest_pending_s,
       count(o.id) FILTER (WHERE o.done_at IS NOT NULL AND o.error IS NOT NULL) AS dead,
       (array_agg(o.error ORDER BY o.created_at DESC) FILTER (WHERE o.error IS NOT NULL))[1] AS last_error,
       (SELECT d.disabled_at FROM notify_targets d WHERE d.name = t.name) AS disabled_at
FROM unnest($1::text[]) AS t (name)
LEFT JOIN outbox o ON o.target = t.name
GROUP BY t.name
ORDER BY t.name
