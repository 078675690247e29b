-- On which machines the nodes of each chain ran, hour by hour.

CREATE TABLE hardware_hours (
    genesis_hash text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    fact text COLLATE "C" NOT NULL CONSTRAINT hardware_hours_fact_check
        CHECK (fact IN ('cpu', 'core_count', 'memory_gib', 'linux_kernel', 'linux_distro', 'target_os', 'target_arch', 'is_virtual_machine')),
    value text COLLATE "C" NOT NULL,
    nodes bigint NOT NULL,
    PRIMARY KEY (genesis_hash, hour, fact, value)
);
COMMENT ON TABLE hardware_hours IS 'Projection: how many nodes of a chain had a session on which machine in an hour, fact by fact. One that changed is counted for each. Of a chain, hour and fact 30 values are kept apart; the others are counted together as (other). Nodes that do not say it are not counted. Purged after ROLLUP_EXPIRY_D.';
COMMENT ON COLUMN hardware_hours.genesis_hash IS 'Identity of the chain.';
COMMENT ON COLUMN hardware_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN hardware_hours.fact IS 'What of the machine: cpu, core_count, memory_gib, linux_kernel, linux_distro, target_os, target_arch, is_virtual_machine.';
COMMENT ON COLUMN hardware_hours.value IS 'What it is; memory in whole GiB, is_virtual_machine as true or false.';
COMMENT ON COLUMN hardware_hours.nodes IS 'Nodes.';
CREATE INDEX hardware_hours_hour_idx ON hardware_hours USING brin (hour);

INSERT INTO projections (name) VALUES ('hardware_hours');
