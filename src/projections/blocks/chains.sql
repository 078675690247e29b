-- Does: finds the numbers of chains; those that have none get one, up to a limit. A name of a later session replaces an
--   earlier one.
-- Params: $1 genesis hashes, $2 names, $3 starts of the sessions that said them, $4 most chains.
-- Index: chains_genesis_hash_key.
-- Cost: the chains asked for; counts all if one is new.
-- Order: none; one server writes at a time.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS a (genesis_hash, name, named_at)
), known AS MATERIALIZED (
    SELECT c.id, c.genesis_hash FROM chains c WHERE c.genesis_hash = ANY($1)
), named AS (
    UPDATE chains c SET name = a.name, named_at = a.named_at FROM asked a
    WHERE c.genesis_hash = a.genesis_hash AND (c.named_at IS NULL OR c.named_at < a.named_at)
), fresh AS (
    INSERT INTO chains (genesis_hash, name, named_at)
    SELECT a.genesis_hash, a.name, a.named_at FROM asked a
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.genesis_hash = a.genesis_hash)
    ORDER BY a.genesis_hash
    LIMIT (SELECT greatest(0, $4 - count(*)) FROM chains)
    RETURNING id, genesis_hash
)
SELECT id, genesis_hash FROM known UNION ALL SELECT id, genesis_hash FROM fresh
