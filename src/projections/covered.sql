-- Does: finds the span of arrival of which a projection has all that is stored.
-- Params: $1 name, $2 batches that are looked at.
-- Index: projections_pkey, ingest_batches_changes_idx.
-- Cost: one row for each batch that it does not contain, up to $2.
-- Order: none. No row while it is built, and with more batches than that.
SELECT p.kept_from AS start, least(now(), unread.first_at) AS until
FROM projections p
CROSS JOIN LATERAL (
    SELECT min(b.first_at) AS first_at, count(*) AS batches
    FROM (
        SELECT first_at FROM ingest_batches
        WHERE transaction_id >= p.position ORDER BY transaction_id, id LIMIT $2 + 1
    ) b
) unread
WHERE p.name = $1 AND p.position IS NOT NULL AND unread.batches <= $2
