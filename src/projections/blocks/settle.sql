-- Does: keeps when blocks were reported as finalized, and enters it where it is the first report of that height or a
--   higher one; tells in which hours these blocks were first seen.
-- Params: $1 chains, $2 heights, $3 hashes of the blocks, $4 arrival of the first report.
-- Index: block_finalities_pkey, blocks_pkey.
-- Cost: the blocks that become final, and one more.
-- Order: none; one server writes at a time.
WITH v AS MATERIALIZED (
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::timestamptz[]) AS v (chain_id, height, hash, at)
), kept AS (
    INSERT INTO block_finalities AS n (chain_id, height, hash, at, kept_until)
    SELECT chain_id, height, hash, at, CASE WHEN at < now() - interval '1 hour' THEN now() + interval '5 minutes' ELSE now() + interval '1 hour' END FROM v
    ON CONFLICT (chain_id, height, hash) DO UPDATE SET at = excluded.at, kept_until = greatest(n.kept_until, excluded.kept_until)
    WHERE n.at > excluded.at
), reached AS MATERIALIZED (
    SELECT v.chain_id, v.height, v.at,
           -- What is below a block that was final before was so too.
           coalesce((
               SELECT b.height FROM blocks b
               WHERE b.chain_id = v.chain_id AND b.height <= v.height AND b.finalized_at <= v.at
               ORDER BY b.height DESC LIMIT 1), v.height - 100000) AS above
    FROM v
), reaching AS MATERIALIZED (
    -- A block is final with the first report of its height or a higher one. Each report has the blocks between
    -- the next lower report and itself, so that many at once cost no more than one after the other.
    SELECT chain_id, height, greatest(
               lag(height) OVER (PARTITION BY chain_id ORDER BY height),
               min(above) OVER (PARTITION BY chain_id ORDER BY height DESC)) AS above,
           min(at) OVER (PARTITION BY chain_id ORDER BY height DESC) AS at
    FROM (SELECT chain_id, height, min(above) AS above, min(at) AS at FROM reached GROUP BY chain_id, height) AS reports
), due AS (
    SELECT b.height, b.hash, b.chain_id, r.at
    FROM reaching r JOIN blocks b ON b.chain_id = r.chain_id AND b.height > r.above AND b.height <= r.height
    WHERE b.finalized_at IS NULL OR b.finalized_at > r.at
), named AS (
    SELECT b.height, b.hash, b.chain_id
    FROM v JOIN blocks b ON b.chain_id = v.chain_id AND b.height = v.height AND b.hash = v.hash
    WHERE NOT b.is_final
), news AS (
    SELECT chain_id, height, hash, due.at, named.hash IS NOT NULL AS is_named
    FROM due FULL JOIN named USING (chain_id, height, hash)
), written AS (
    UPDATE blocks b SET finalized_at = coalesce(n.at, b.finalized_at), is_final = b.is_final OR n.is_named
    FROM news n
    WHERE b.chain_id = n.chain_id AND b.height = n.height AND b.hash = n.hash
    RETURNING b.chain_id, date_trunc('hour', b.first_at, 'UTC') AS hour
)
SELECT DISTINCT chain_id, hour FROM written
