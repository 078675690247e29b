-- The blocks that nodes say they built, also those that became none of the chain.

CREATE TABLE authorings (
    peer_id text COLLATE "C" NOT NULL,
    genesis_hash text COLLATE "C" NOT NULL,
    session_id bigint NOT NULL,
    height bigint NOT NULL,
    prepared_hash bytea NOT NULL,
    prepared_at timestamptz,
    sealed_at timestamptz,
    hash bytea,
    at timestamptz NOT NULL GENERATED ALWAYS AS (least(prepared_at, sealed_at)) STORED,
    PRIMARY KEY (peer_id, genesis_hash, session_id, height, prepared_hash)
);
COMMENT ON TABLE authorings IS 'Projection: the blocks that nodes say they built (prepared_block_for_proposing, slots.pre_sealed_block, from level 1 on). What became of each says block_authoring. At most 1,200 of a node in an hour. Purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN authorings.peer_id IS 'libp2p identity that the node claims; empty while it is not known.';
COMMENT ON COLUMN authorings.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN authorings.session_id IS 'Session, see peer_connections, while its node is not known; else 0.';
COMMENT ON COLUMN authorings.height IS 'Number of the block.';
COMMENT ON COLUMN authorings.prepared_hash IS 'Hash of the block before it was sealed, 32 bytes.';
COMMENT ON COLUMN authorings.prepared_at IS 'Arrival of the first message that it was prepared; NULL if there was none.';
COMMENT ON COLUMN authorings.sealed_at IS 'Arrival of the first message that it was sealed; NULL if there was none.';
COMMENT ON COLUMN authorings.hash IS 'Hash of the sealed block, as in blocks, 32 bytes; NULL if it was not sealed.';
COMMENT ON COLUMN authorings.at IS 'The earlier of the two.';
CREATE INDEX authorings_chain_idx ON authorings (genesis_hash, at);
CREATE INDEX authorings_node_idx ON authorings (peer_id, genesis_hash, at);
CREATE INDEX authorings_age_idx ON authorings USING brin (at);

CREATE FUNCTION block_authoring(from_time timestamptz, until_time timestamptz, of_genesis_hash text DEFAULT NULL, of_peer_id text DEFAULT NULL)
RETURNS TABLE (genesis_hash text, chain text, peer_id text, height bigint, hash text, prepared_at timestamptz, sealed_at timestamptz, first_at timestamptz, finalized_at timestamptz, outcome text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH tried AS (
        SELECT a.genesis_hash, c.name AS chain, a.peer_id, a.height, a.hash AS own_hash, a.prepared_at, a.sealed_at, a.at, c.id AS chain_id,
               b.hash, b.first_at, b.finalized_at, b.is_final
        FROM authorings a
        LEFT JOIN chains c ON c.genesis_hash = a.genesis_hash
        LEFT JOIN LATERAL (
            SELECT b.* FROM blocks b
            WHERE b.chain_id = c.id AND b.height = a.height
              -- Collators of parachains do not tell of the seal; on chains without one the hash stays.
              AND (b.hash = a.hash OR a.hash IS NULL AND (b.hash = a.prepared_hash OR b.author_id IN (SELECT r.id FROM block_reporters r WHERE r.peer_id = a.peer_id)))
            LIMIT 1
        ) b ON true
        WHERE a.at >= from_time AND a.at < until_time AND a.peer_id <> ''
          AND (of_genesis_hash IS NULL OR a.genesis_hash = of_genesis_hash) AND (of_peer_id IS NULL OR a.peer_id = of_peer_id)
    ), made AS (
        -- At level 0 nodes tell only of the import.
        SELECT c.genesis_hash, c.name AS chain, r.peer_id, b.height, b.hash AS own_hash, NULL::timestamptz AS prepared_at, NULL::timestamptz AS sealed_at, b.first_at AS at, c.id AS chain_id,
               b.hash, b.first_at, b.finalized_at, b.is_final
        FROM chains c
        JOIN blocks b ON b.chain_id = c.id AND b.first_at >= from_time AND b.first_at < until_time
        JOIN block_reporters r ON r.id = b.author_id
        WHERE (of_genesis_hash IS NULL OR c.genesis_hash = of_genesis_hash) AND (of_peer_id IS NULL OR r.peer_id = of_peer_id)
          AND NOT EXISTS (
              SELECT FROM authorings a
              WHERE a.peer_id = r.peer_id AND a.genesis_hash = c.genesis_hash AND a.session_id = 0 AND a.height = b.height AND (a.hash = b.hash OR a.hash IS NULL)
          )
    ), both_kinds AS (
        SELECT * FROM tried UNION ALL SELECT * FROM made
    )
    SELECT t.genesis_hash, t.chain, t.peer_id, t.height, '0x' || encode(coalesce(t.hash, t.own_hash), 'hex'), t.prepared_at, t.sealed_at, t.first_at, t.finalized_at,
           CASE
               WHEN t.hash IS NULL AND t.at > now() - interval '1 minute' THEN 'open'
               WHEN t.hash IS NULL AND t.own_hash IS NULL THEN 'not_sealed'
               WHEN t.hash IS NULL THEN 'not_taken'
               WHEN t.is_final THEN 'final'
               WHEN o.others > 0 AND o.is_final THEN 'lost'
               WHEN o.others > 0 THEN 'forked'
               WHEN t.finalized_at IS NOT NULL THEN 'final'
               ELSE 'open'
           END
    FROM both_kinds t
    LEFT JOIN LATERAL (
        SELECT count(*) AS others, bool_or(o.is_final) AS is_final FROM blocks o
        WHERE NOT t.is_final AND o.chain_id = t.chain_id AND o.height = t.height AND o.hash <> t.hash
    ) o ON true
$$;
COMMENT ON FUNCTION block_authoring IS 'The blocks that nodes built in a span of time, of all chains and nodes, or of one: identity and name of the chain, the node, height and hash (NULL if it was not sealed), arrival of the messages that it was prepared and sealed (NULL where there were none), first_at (arrival of the first report that it is the best block of a node), finalized_at (arrival of the first report that its height is finalized), and what became of it (outcome): final; open (not final yet); forked (another block has its height, and none is final yet); and missed: lost (another block of its height is final), not_taken (sealed, but no node took it as its best block), not_sealed (prepared, and given up). Reads the blocks of the span.';

INSERT INTO projections (name) VALUES ('authorings');
