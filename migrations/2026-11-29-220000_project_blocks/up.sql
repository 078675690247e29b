-- The blocks of each chain, as its nodes reported them.

CREATE TABLE chains (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    genesis_hash text COLLATE "C" NOT NULL UNIQUE,
    name text,
    named_at timestamptz,
    left_out_behind bigint NOT NULL DEFAULT 0,
    left_out_ahead bigint NOT NULL DEFAULT 0,
    left_out_excess bigint NOT NULL DEFAULT 0,
    left_out_late bigint NOT NULL DEFAULT 0,
    left_out_malformed bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE chains IS 'Chains whose nodes reported blocks, with a number that other tables use; at most 10,000.';
COMMENT ON COLUMN chains.id IS 'Number of the chain in this database.';
COMMENT ON COLUMN chains.genesis_hash IS 'Identity of the chain.';
COMMENT ON COLUMN chains.name IS 'Name of the chain, as the session that began last says it; not unique.';
COMMENT ON COLUMN chains.named_at IS 'Start of that session.';
COMMENT ON COLUMN chains.left_out_behind IS 'Reports of blocks that were left out since the projection was built, because the block was more than 100 behind what most nodes said, or reported more than 5 minutes after it was first seen.';
COMMENT ON COLUMN chains.left_out_ahead IS 'Reports that were left out because the block was more than 100 ahead of what most nodes said, or its number is none.';
COMMENT ON COLUMN chains.left_out_excess IS 'Reports that were left out because one node named more than 7,500 new blocks in an hour.';
COMMENT ON COLUMN chains.left_out_late IS 'Reports that were left out because they were stored more than an hour after the other ones of the block; a rebuild takes them.';
COMMENT ON COLUMN chains.left_out_malformed IS 'Reports that were left out because the hash is not 0x and 64 hexadecimal digits.';

CREATE TABLE block_reporters (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    peer_id text COLLATE "C" NOT NULL,
    server_id text COLLATE "C" NOT NULL,
    UNIQUE (peer_id, server_id)
);
COMMENT ON TABLE block_reporters IS 'Nodes that were the first to report a block, and the servers to which they were connected, with a number that blocks use.';
COMMENT ON COLUMN block_reporters.id IS 'Number in this database.';
COMMENT ON COLUMN block_reporters.peer_id IS 'libp2p identity of the node.';
COMMENT ON COLUMN block_reporters.server_id IS 'Server to which it was connected, see servers.';

-- Columns by size: no padding between them.
CREATE TABLE blocks (
    height bigint NOT NULL,
    first_at timestamptz NOT NULL,
    finalized_at timestamptz,
    chain_id integer NOT NULL REFERENCES chains,
    first_reporter_id integer NOT NULL REFERENCES block_reporters,
    author_id integer REFERENCES block_reporters,
    nodes integer NOT NULL,
    own integer NOT NULL,
    broadcast integer NOT NULL,
    other integer NOT NULL,
    is_final boolean NOT NULL,
    hash bytea NOT NULL,
    delays integer[] NOT NULL,
    PRIMARY KEY (chain_id, height, hash)
);
COMMENT ON TABLE blocks IS 'Projection: each block that nodes reported as their best (block.import); of a height there are several where the chain forked. Initial sync, and what nodes that are far behind report, is left out. Purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN blocks.height IS 'Number of the block.';
COMMENT ON COLUMN blocks.first_at IS 'Arrival of the first report.';
COMMENT ON COLUMN blocks.finalized_at IS 'Arrival of the first report that a block of this height or a higher one is finalized; NULL before.';
COMMENT ON COLUMN blocks.chain_id IS 'Its chain, see chains.';
COMMENT ON COLUMN blocks.first_reporter_id IS 'Node and server of the first report, see block_reporters; of several at once the first peer id in alphabetical order.';
COMMENT ON COLUMN blocks.author_id IS 'Node that reported it as its own, see block_reporters; of several the first peer id in alphabetical order. NULL if none did.';
COMMENT ON COLUMN blocks.nodes IS 'Nodes that reported it within 5 minutes.';
COMMENT ON COLUMN blocks.own IS 'Those of them that made it themselves (origin Own).';
COMMENT ON COLUMN blocks.broadcast IS 'Those that got it from the network (origin NetworkBroadcast).';
COMMENT ON COLUMN blocks.other IS 'Those of other origins, as ConsensusBroadcast.';
COMMENT ON COLUMN blocks.is_final IS 'Whether a node named this very block as finalized. Of nodes that finalize several at once it is the last; those before it are final too, unless another block of their height is named.';
COMMENT ON COLUMN blocks.hash IS 'Hash of the block, 32 bytes.';
COMMENT ON COLUMN blocks.delays IS 'Histogram: how many nodes reported it how long after the first one, who is not in it. delays[1] counts those below 8 ms, delays[n + 1] those from block_delay_bounds()[n] ms up to the next bound, delays[54] those from 65,536 ms on; what follows the last one is 0.';
CREATE INDEX blocks_time_idx ON blocks (chain_id, first_at);
CREATE INDEX blocks_age_idx ON blocks USING brin (first_at);

CREATE TABLE block_arrivals (
    chain_id integer NOT NULL,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    arrivals bytea NOT NULL,
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (chain_id, height, hash)
);
COMMENT ON TABLE block_arrivals IS 'Projection: when each node reported a block, kept for an hour, in which late messages correct blocks.';
COMMENT ON COLUMN block_arrivals.chain_id IS 'As in blocks.';
COMMENT ON COLUMN block_arrivals.height IS 'As in blocks.';
COMMENT ON COLUMN block_arrivals.hash IS 'As in blocks.';
COMMENT ON COLUMN block_arrivals.arrivals IS 'Reports, 17 bytes each: a hash of the peer id, Unix microseconds, and the number of the origin.';
COMMENT ON COLUMN block_arrivals.kept_until IS 'When the row is deleted.';

CREATE TABLE block_finalities (
    chain_id integer NOT NULL,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    at timestamptz NOT NULL,
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (chain_id, height, hash)
);
COMMENT ON TABLE block_finalities IS 'Projection: when a block was first reported as finalized, kept for an hour, in which late messages bring blocks.';
COMMENT ON COLUMN block_finalities.chain_id IS 'As in blocks.';
COMMENT ON COLUMN block_finalities.height IS 'As in blocks.';
COMMENT ON COLUMN block_finalities.hash IS 'As in blocks.';
COMMENT ON COLUMN block_finalities.at IS 'Arrival of the first report that it is finalized.';
COMMENT ON COLUMN block_finalities.kept_until IS 'When the row is deleted.';

CREATE TABLE session_blocks (
    session_id bigint NOT NULL,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    origin smallint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (session_id, height, hash, origin)
);
COMMENT ON TABLE session_blocks IS 'Projection: blocks that were reported by sessions whose node is not known, or not yet; they move to blocks when it is. At most 1,000 of a session.';
COMMENT ON COLUMN session_blocks.session_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN session_blocks.height IS 'As in blocks.';
COMMENT ON COLUMN session_blocks.hash IS 'As in blocks.';
COMMENT ON COLUMN session_blocks.origin IS 'Number of the origin; 0 for a block that is finalized.';
COMMENT ON COLUMN session_blocks.at IS 'Arrival of the first report.';

CREATE TABLE chain_hours (
    chain_id integer NOT NULL REFERENCES chains,
    hour timestamptz NOT NULL,
    is_stale boolean NOT NULL,
    blocks bigint NOT NULL DEFAULT 0,
    heights bigint NOT NULL DEFAULT 0,
    forks bigint NOT NULL DEFAULT 0,
    nodes bigint NOT NULL DEFAULT 0,
    delays bigint[] NOT NULL DEFAULT '{}',
    finalized bigint NOT NULL DEFAULT 0,
    finality bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (chain_id, hour)
);
COMMENT ON TABLE chain_hours IS 'Projection: the blocks of a chain that were first seen in an hour, added up; see chain_blocks.';
COMMENT ON COLUMN chain_hours.chain_id IS 'The chain, see chains.';
COMMENT ON COLUMN chain_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN chain_hours.is_stale IS 'Whether blocks changed since they were added up; chain_blocks() of the hour is right then.';
COMMENT ON COLUMN chain_hours.blocks IS 'Blocks that were first seen in the hour.';
COMMENT ON COLUMN chain_hours.heights IS 'Their different heights.';
COMMENT ON COLUMN chain_hours.forks IS 'Those of the blocks that compete: another one of their height was seen before.';
COMMENT ON COLUMN chain_hours.nodes IS 'Reports of nodes, each of a block.';
COMMENT ON COLUMN chain_hours.delays IS 'Histogram: sum of the delays of the blocks.';
COMMENT ON COLUMN chain_hours.finalized IS 'Those of the blocks that are finalized.';
COMMENT ON COLUMN chain_hours.finality IS 'Histogram: how many blocks were finalized how long after the first report, in the same buckets as delays, up to 2^26 ms (18 hours) in finality[94].';
CREATE INDEX chain_hours_stale_idx ON chain_hours (hour) WHERE is_stale;

CREATE FUNCTION block_delay_bounds() RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg((4 + i % 4)::bigint << (i / 4 + 1) ORDER BY i) FROM generate_series(0, 92) AS i
$$;
COMMENT ON FUNCTION block_delay_bounds IS 'Lower bounds of the buckets 1 to 93 of delays, milliseconds: 8, then four for each doubling, up to 2^26 (18 hours). width_bucket(ms, block_delay_bounds()) is the bucket of a delay.';

CREATE FUNCTION block_delay_quantile(counts bigint[], quantile double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH sums AS (
        SELECT i - 1 AS bucket, n, sum(n) OVER (ORDER BY i) AS up_to, sum(n) OVER () AS total
        FROM unnest(counts) WITH ORDINALITY AS c (n, i)
    )
    SELECT (low + (high - low) * greatest(0, quantile * total - (up_to - n)) / n) / 1000.0
    FROM sums
    CROSS JOIN LATERAL (SELECT
        CASE WHEN bucket = 0 THEN 0 ELSE (4 + (bucket - 1) % 4)::bigint << ((bucket - 1) / 4 + 1)::integer END::double precision AS low,
        ((4 + bucket % 4)::bigint << (bucket / 4 + 1)::integer)::double precision AS high) AS bounds
    WHERE n > 0 AND up_to >= quantile * total
    ORDER BY bucket LIMIT 1
$$;
COMMENT ON FUNCTION block_delay_quantile IS 'The quantile (0 to 1) of a histogram of delays, seconds: as if the delays of a bucket were spread evenly in it. It is at most 25 % off, usually less than 5 %. NULL for a histogram without delays.';

CREATE FUNCTION chain_blocks(of_chain_id integer, from_time timestamptz, until_time timestamptz)
RETURNS TABLE (blocks bigint, heights bigint, forks bigint, nodes bigint, delays bigint[], finalized bigint, finality bigint[])
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH found AS MATERIALIZED (
        SELECT b.height, b.hash, b.nodes, b.delays, b.first_at, b.finalized_at FROM blocks b
        WHERE b.chain_id = of_chain_id AND b.first_at >= from_time AND b.first_at < until_time
    ), spread AS (
        SELECT i, sum(n) AS n FROM found CROSS JOIN LATERAL unnest(found.delays) WITH ORDINALITY AS d (n, i) GROUP BY i
    ), waits AS (
        SELECT width_bucket(greatest(0, floor(extract(epoch FROM found.finalized_at - found.first_at) * 1000))::bigint, block_delay_bounds()) + 1 AS i, count(*) AS n
        FROM found WHERE found.finalized_at IS NOT NULL GROUP BY 1
    )
    SELECT (SELECT count(*) FROM found), (SELECT count(DISTINCT height) FROM found),
           (SELECT count(*) FROM found WHERE EXISTS (
               SELECT FROM blocks o WHERE o.chain_id = of_chain_id AND o.height = found.height AND (o.first_at, o.hash) < (found.first_at, found.hash))),
           (SELECT coalesce(sum(found.nodes), 0)::bigint FROM found),
           (SELECT coalesce(array_agg(n::bigint ORDER BY i), '{}') FROM spread),
           (SELECT coalesce(sum(n), 0)::bigint FROM waits),
           (SELECT coalesce(array_agg(coalesce(n, 0) ORDER BY i), '{}') FROM generate_series(1, (SELECT max(i) FROM waits)) AS i LEFT JOIN waits USING (i))
$$;
COMMENT ON FUNCTION chain_blocks IS 'The blocks of a chain that were first seen in a span of time, added up, with the columns of chain_hours. Reads the blocks of the span.';

CREATE FUNCTION chain_height(heights bigint[]) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH honest AS (
        SELECT array_agg(h ORDER BY h DESC) AS heights FROM unnest(heights) AS h WHERE h BETWEEN 0 AND 4294967295
    )
    SELECT honest.heights[CASE cardinality(honest.heights) WHEN 1 THEN 1 ELSE 1 + greatest(1, cardinality(honest.heights) / 4) END] FROM honest
$$;
COMMENT ON FUNCTION chain_height IS 'Where a chain is, given the heights that its nodes report: the height after a quarter of them, from the top, and never the topmost of several, so that one liar moves nothing. Heights over 2^32 are left out.';

INSERT INTO projections (name) VALUES ('blocks');
