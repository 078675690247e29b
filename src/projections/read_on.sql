-- Does: moves projections on in the changes, those that still are where they were.
-- Params: $1 names, $2 fencing tokens, $3 positions as they were, $4 as they are to be,
--   $5 the database cluster in which these count.
-- Index: projections_pkey.
-- Cost: one row for each.
-- Order: none; the names of those that moved.
UPDATE projections p
SET position = v.next, token = v.token, cluster_id = v.cluster_id, updated_at = now()
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) AS v (name, token, position, next, cluster_id)
WHERE p.name = v.name AND p.token <= v.token AND p.position = v.position
RETURNING p.name
