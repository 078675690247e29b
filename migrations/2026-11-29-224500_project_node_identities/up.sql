-- Which node is which authority.

CREATE TABLE node_identities (
    peer_id text COLLATE "C" NOT NULL,
    genesis_hash text COLLATE "C" NOT NULL,
    session_id bigint NOT NULL,
    authority_id text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    authority_set_id bigint,
    is_in_set boolean NOT NULL,
    PRIMARY KEY (peer_id, genesis_hash, session_id, authority_id)
);
COMMENT ON TABLE node_identities IS 'Projection: with which authority ids each node introduced itself (afg.authority_set, from level 1 on), and when. What a node says is not proven. At most 100 of a node.';
COMMENT ON COLUMN node_identities.peer_id IS 'libp2p identity that the node claims; empty while it is not known.';
COMMENT ON COLUMN node_identities.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN node_identities.session_id IS 'Session, see peer_connections, while its node is not known; else 0.';
COMMENT ON COLUMN node_identities.authority_id IS 'The id with which it votes on finality, as an address (SS58); that of the validator where it has no other.';
COMMENT ON COLUMN node_identities.first_at IS 'Arrival of the first message that said so.';
COMMENT ON COLUMN node_identities.last_at IS 'Arrival of the last message that said so.';
COMMENT ON COLUMN node_identities.authority_set_id IS 'Number of the set that the last one named; it grows with each change of the authorities.';
COMMENT ON COLUMN node_identities.is_in_set IS 'Whether it was one of that set: a validator.';
CREATE INDEX node_identities_authority_idx ON node_identities (authority_id);

INSERT INTO projections (name) VALUES ('node_identities');
