-- Servers, the sessions of nodes with them, and what both need to survive a restart.

CREATE TABLE servers (
    id text PRIMARY KEY,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL
);
COMMENT ON TABLE servers IS 'The servers that write into this database; one whose heartbeat stopped has its open sessions closed by the others.';
COMMENT ON COLUMN servers.id IS 'Random name, kept in the DATA_DIR of the server.';
COMMENT ON COLUMN servers.version IS 'Version of tetcore-analytics.';
COMMENT ON COLUMN servers.started_at IS 'Time of the last start.';
COMMENT ON COLUMN servers.heartbeat_at IS 'Last time the server said that it lives; written about once a minute.';

-- Sessions get their id in the server, before anything is stored: each
-- nextval() reserves a block as long as the increment, starting at its value.
CREATE SEQUENCE peer_connections_id_seq AS bigint INCREMENT BY 65536 MINVALUE 1 START WITH 1;
COMMENT ON SEQUENCE peer_connections_id_seq IS 'Blocks of 65,536 ids of peer_connections, reserved by servers.';

CREATE TABLE peer_connections (
    id bigint PRIMARY KEY,
    ip_addr text NOT NULL,
    peer_id text,
    created_at timestamptz NOT NULL,
    audit boolean NOT NULL DEFAULT false,
    name text,
    chain text,
    version text,
    authority boolean,
    startup_time bigint,
    implementation text,
    node_id bigint,
    connection_id bigint NOT NULL,
    server_id text NOT NULL,
    genesis_hash text,
    config text,
    target_os text,
    target_arch text,
    target_env text,
    cpu text,
    memory_bytes bigint,
    core_count bigint,
    linux_kernel text,
    linux_distro text,
    is_virtual_machine boolean,
    cpu_hashrate_score bigint,
    parallel_cpu_hashrate_score bigint,
    parallel_cpu_cores bigint,
    memory_memcpy_score bigint,
    disk_sequential_write_score bigint,
    disk_random_write_score bigint,
    last_seen_at timestamptz NOT NULL,
    disconnected_at timestamptz,
    disconnect_reason text,
    revision bigint NOT NULL DEFAULT 0,
    CHECK ((disconnected_at IS NULL) = (disconnect_reason IS NULL))
);
COMMENT ON TABLE peer_connections IS 'One row for each session: one node id on one websocket connection.';
COMMENT ON COLUMN peer_connections.id IS 'Number of the session, handed out by the server.';
COMMENT ON COLUMN peer_connections.ip_addr IS 'Address from which the node connected, without port.';
COMMENT ON COLUMN peer_connections.peer_id IS 'libp2p identity that the node claims (network_id); NULL until a system.connected arrives.';
COMMENT ON COLUMN peer_connections.created_at IS 'Server time of the first message of the session.';
COMMENT ON COLUMN peer_connections.audit IS 'Connected to /audit: its messages are never purged.';
COMMENT ON COLUMN peer_connections.name IS 'Name that the operator gave to the node.';
COMMENT ON COLUMN peer_connections.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN peer_connections.version IS 'Version of the node''s software.';
COMMENT ON COLUMN peer_connections.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN peer_connections.startup_time IS 'Start of the node process, Unix milliseconds, by the node''s clock.';
COMMENT ON COLUMN peer_connections.implementation IS 'Name of the node''s software.';
COMMENT ON COLUMN peer_connections.node_id IS 'id of the envelope: counts the nodes of one process; NULL for the flat format and for ids over 2^63.';
COMMENT ON COLUMN peer_connections.connection_id IS 'Websocket connection; sessions of one connection share it. Unique for one run of one server.';
COMMENT ON COLUMN peer_connections.server_id IS 'Server that holds the session, see servers.';
COMMENT ON COLUMN peer_connections.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN peer_connections.config IS 'config of system.connected; empty for the nodes known today.';
COMMENT ON COLUMN peer_connections.target_os IS 'Operating system for which the node was built.';
COMMENT ON COLUMN peer_connections.target_arch IS 'Processor architecture for which the node was built.';
COMMENT ON COLUMN peer_connections.target_env IS 'C library for which the node was built.';
COMMENT ON COLUMN peer_connections.cpu IS 'Model of the processor.';
COMMENT ON COLUMN peer_connections.memory_bytes IS 'Memory of the machine in bytes.';
COMMENT ON COLUMN peer_connections.core_count IS 'Physical cores of the machine.';
COMMENT ON COLUMN peer_connections.linux_kernel IS 'Version of the Linux kernel.';
COMMENT ON COLUMN peer_connections.linux_distro IS 'Name of the Linux distribution.';
COMMENT ON COLUMN peer_connections.is_virtual_machine IS 'Whether the node believes that it runs in a virtual machine.';
COMMENT ON COLUMN peer_connections.cpu_hashrate_score IS 'Hardware benchmark: BLAKE2b-256 on one core, MiB/s.';
COMMENT ON COLUMN peer_connections.parallel_cpu_hashrate_score IS 'Hardware benchmark: BLAKE2b-256 on several cores, MiB/s.';
COMMENT ON COLUMN peer_connections.parallel_cpu_cores IS 'Hardware benchmark: cores used for the parallel score.';
COMMENT ON COLUMN peer_connections.memory_memcpy_score IS 'Hardware benchmark: memory copy, MiB/s.';
COMMENT ON COLUMN peer_connections.disk_sequential_write_score IS 'Hardware benchmark: sequential disk writes, MiB/s.';
COMMENT ON COLUMN peer_connections.disk_random_write_score IS 'Hardware benchmark: random disk writes, MiB/s.';
COMMENT ON COLUMN peer_connections.last_seen_at IS 'Server time of the last message, refreshed about once a minute and at the end.';
COMMENT ON COLUMN peer_connections.disconnected_at IS 'Server time of the end of the session; NULL while it is open.';
COMMENT ON COLUMN peer_connections.disconnect_reason IS 'Why the session ended; NULL while it is open.';
COMMENT ON COLUMN peer_connections.revision IS 'Grows with each change of the session, so that an older state never overwrites a newer one.';

CREATE INDEX peer_connections_peer_idx ON peer_connections (peer_id, created_at DESC, id DESC);
CREATE INDEX peer_connections_open_idx ON peer_connections (server_id) WHERE disconnected_at IS NULL;
CREATE INDEX peer_connections_ended_idx ON peer_connections (disconnected_at) WHERE disconnected_at IS NOT NULL;
