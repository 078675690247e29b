-- Does: writes blocks and the arrivals that are new; tells in which hours they were first seen, before and now.
-- Params: $1 to $12 columns of blocks as arrays, in the order of `v`; $13 new arrivals.
-- Index: blocks_pkey, block_arrivals_pkey, block_finalities_pkey.
-- Cost: one row for each block, and the finalities of the last hour above it if it is new.
-- Order: none; one server writes at a time.
WITH v AS MATERIALIZED (
    SELECT v.*, CASE WHEN v.first_at < now() - interval '1 hour' THEN now() + interval '5 minutes' ELSE now() + interval '1 hour' END AS kept_until
    FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5::integer[], $6::integer[], $7::integer[], $8::integer[], $9::integer[], $10::integer[], $11::text[], $12::bytea[])
        AS v (chain_id, height, hash, first_at, first_reporter_id, author_id, nodes, own, broadcast, other, delays, arrivals)
), before AS MATERIALIZED (
    SELECT b.chain_id, b.height, b.hash, b.first_at FROM blocks b JOIN v ON v.chain_id = b.chain_id AND v.height = b.height AND v.hash = b.hash
), kept AS (
    INSERT INTO block_arrivals AS n (chain_id, height, hash, arrivals, kept_until)
    SELECT chain_id, height, hash, arrivals, kept_until FROM v
    ON CONFLICT (chain_id, height, hash) DO UPDATE SET
        arrivals = n.arrivals || excluded.arrivals,
        kept_until = greatest(n.kept_until, excluded.kept_until)
), written AS (
    INSERT INTO blocks AS n (chain_id, height, hash, first_at, first_reporter_id, author_id, nodes, own, broadcast, other, delays, finalized_at, is_final)
    SELECT v.chain_id, v.height, v.hash, v.first_at, v.first_reporter_id, v.author_id, v.nodes, v.own, v.broadcast, v.other, v.delays::smallint[],
           (SELECT min(f.at) FROM block_finalities f WHERE f.chain_id = v.chain_id AND f.height >= v.height),
           EXISTS (SELECT FROM block_finalities f WHERE f.chain_id = v.chain_id AND f.height = v.height AND f.hash = v.hash)
    FROM v
    ON CONFLICT (chain_id, height, hash) DO UPDATE SET
        first_at = excluded.first_at,
        first_reporter_id = excluded.first_reporter_id,
        author_id = excluded.author_id,
        nodes = excluded.nodes,
        own = excluded.own,
        broadcast = excluded.broadcast,
        other = excluded.other,
        delays = excluded.delays
)
SELECT chain_id, date_trunc('hour', first_at, 'UTC') AS hour FROM v
UNION
SELECT chain_id, date_trunc('hour', first_at, 'UTC') FROM before
