-- How long the spans of each node took, hour by hour.

CREATE FUNCTION telemetry_span_bounds() RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(CASE WHEN i < 16 THEN i ELSE (16 + i % 16)::bigint << (i / 16 - 1) END ORDER BY i)
    FROM generate_series(1, 656) AS i
$$;
COMMENT ON FUNCTION telemetry_span_bounds IS 'Lower bounds of the buckets 1 to 656 of span_hours, nanoseconds: each whole number up to 31, then 16 buckets for each doubling, up to 2^44 (4.9 hours). width_bucket(time, telemetry_span_bounds()) is the bucket of a time.';

CREATE TABLE span_hours (
    peer_id text COLLATE "C" NOT NULL,
    genesis_hash text COLLATE "C" NOT NULL,
    session_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    target text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    total_ns numeric NOT NULL,
    min_ns bigint NOT NULL,
    max_ns bigint NOT NULL,
    buckets smallint[] NOT NULL,
    counts bigint[] NOT NULL,
    PRIMARY KEY (peer_id, genesis_hash, session_id, hour, target, name)
) WITH (fillfactor = 80);
COMMENT ON TABLE span_hours IS 'Projection: how long the spans (tracing.profiling) of a node took in an hour, for each target and name. Of a node and hour the first 1,000 in alphabetical order have rows of their own; the others are counted together as target and name (other).';
COMMENT ON COLUMN span_hours.peer_id IS 'libp2p identity that the node claims; empty while it is not known.';
COMMENT ON COLUMN span_hours.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN span_hours.session_id IS 'Session, see peer_connections, while its node is not known; else 0.';
COMMENT ON COLUMN span_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN span_hours.target IS 'Target of the spans; empty for none, (other) for those beyond the limit and longer than 512 bytes.';
COMMENT ON COLUMN span_hours.name IS 'Name of the spans; empty for none, (other) for those beyond the limit and longer than 512 bytes.';
COMMENT ON COLUMN span_hours.count IS 'Spans.';
COMMENT ON COLUMN span_hours.total_ns IS 'Sum of their times in nanoseconds, each rounded to a whole number.';
COMMENT ON COLUMN span_hours.min_ns IS 'Shortest time in nanoseconds.';
COMMENT ON COLUMN span_hours.max_ns IS 'Longest time in nanoseconds.';
COMMENT ON COLUMN span_hours.buckets IS 'Histogram: the buckets that are not empty, ascending. Bucket 0 holds times below 1 ns, bucket n those from telemetry_span_bounds()[n] ns up to the next bound. The middle of a bucket is at most 3.2 % from any time in it, up to 2^44 ns.';
COMMENT ON COLUMN span_hours.counts IS 'Histogram: spans in each of buckets. Histograms are added with SELECT bucket, sum(n) FROM span_hours, unnest(buckets, counts) AS h (bucket, n) GROUP BY bucket.';
CREATE INDEX span_hours_hour_idx ON span_hours USING brin (hour);

INSERT INTO projections (name) VALUES ('span_hours');
