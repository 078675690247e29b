-- Does: finds services and chains by name; chains by genesis hash too.
-- Params: $1 name or genesis hash, or NULL for all; $2 rows.
-- Index: none.
-- Cost: the chains, the services, and the hours of jobs of a week.
-- Order: by name, chains after services.
SELECT name, genesis_hash FROM (
    SELECT service AS name, NULL AS genesis_hash FROM services
    UNION
    SELECT service_id, NULL FROM job_hours WHERE hour > now() - interval '7 days'
    UNION
    SELECT name, genesis_hash FROM chains
) AS known
WHERE $1::text IS NULL OR name = $1 OR genesis_hash = $1
ORDER BY genesis_hash IS NOT NULL, name, genesis_hash
LIMIT $2
