-- What the nodes of each chain ran, hour by hour.

CREATE TABLE software_hours (
    genesis_hash text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    implementation text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    shares_process boolean NOT NULL,
    nodes bigint NOT NULL,
    PRIMARY KEY (genesis_hash, hour, implementation, version, shares_process)
);
COMMENT ON TABLE software_hours IS 'Projection: how many nodes of a chain had a session with which software in an hour. One that changed is counted for each. Of a chain and hour 100 are kept apart; the others are counted together as (other). Purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN software_hours.genesis_hash IS 'Identity of the chain.';
COMMENT ON COLUMN software_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN software_hours.implementation IS 'Name of the software; empty if they did not say it.';
COMMENT ON COLUMN software_hours.version IS 'Its version; empty if they did not say it.';
COMMENT ON COLUMN software_hours.shares_process IS 'Whether a node of another chain has the same connection: a parachain node and the relay chain node within it.';
COMMENT ON COLUMN software_hours.nodes IS 'Nodes.';
CREATE INDEX software_hours_hour_idx ON software_hours USING brin (hour);
CREATE INDEX peer_connections_connection_idx ON peer_connections (connection_id);

INSERT INTO projections (name) VALUES ('software_hours');
