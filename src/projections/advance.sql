-- Does: moves a projection on, if it still is where it was.
-- Params: $1 name, $2 fencing token, $3 to $6 position, end and progress of the
--   build and its start as they were, $7 to $9 as they are to be, $10 database cluster.
-- Index: projections_pkey.
-- Cost: one row.
-- Order: none.
UPDATE projections
SET position = $7, build_end = NULL, beside_end = $8, built_until = $9, cluster_id = $10, token = $2, updated_at = now()
WHERE name = $1 AND token <= $2
  AND position IS NOT DISTINCT FROM $3
  AND CASE WHEN build_end IS NULL THEN beside_end END IS NOT DISTINCT FROM $4
  AND built_until IS NOT DISTINCT FROM $5
  AND build_from IS NOT DISTINCT FROM $6
