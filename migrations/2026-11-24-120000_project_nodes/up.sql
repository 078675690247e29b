-- The nodes, as the messages tell of them.

CREATE TABLE nodes (
    peer_id text NOT NULL,
    genesis_hash text NOT NULL,
    name text,
    chain text,
    session_id bigint NOT NULL,
    session_at timestamptz NOT NULL,
    first_session_id bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    online boolean NOT NULL,
    since timestamptz NOT NULL,
    disconnect_reason text,
    best_height bigint,
    best_hash text,
    best_at timestamptz,
    best_session_at timestamptz,
    finalized_height bigint,
    finalized_hash text,
    finalized_at timestamptz,
    finalized_session_at timestamptz,
    peers bigint,
    download_bytes_per_s double precision,
    upload_bytes_per_s double precision,
    network_at timestamptz,
    network_message bigint,
    transactions bigint,
    state_cache_bytes double precision,
    pool_at timestamptz,
    pool_message bigint,
    PRIMARY KEY (peer_id, genesis_hash)
-- Values change with each update, keys do not: updates stay within their page.
) WITH (fillfactor = 60);
COMMENT ON TABLE nodes IS 'Projection: one row for each node, a peer id on a chain, with its latest session and the values it reported last.';
COMMENT ON COLUMN nodes.peer_id IS 'libp2p identity that the node claims.';
COMMENT ON COLUMN nodes.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN nodes.name IS 'Name that its operator gave it.';
COMMENT ON COLUMN nodes.chain IS 'Name of its chain; not unique, see genesis_hash.';
COMMENT ON COLUMN nodes.session_id IS 'Latest session, see peer_connections: the facts of the node are there.';
COMMENT ON COLUMN nodes.session_at IS 'Start of the latest session.';
COMMENT ON COLUMN nodes.first_session_id IS 'First session that is still kept.';
COMMENT ON COLUMN nodes.first_seen_at IS 'Start of the first session that is still kept.';
COMMENT ON COLUMN nodes.last_seen_at IS 'Arrival of its last message, to about a minute.';
COMMENT ON COLUMN nodes.online IS 'Whether it has an open session.';
COMMENT ON COLUMN nodes.since IS 'Since when it is online or offline: start of the oldest open session, or end of the last one.';
COMMENT ON COLUMN nodes.disconnect_reason IS 'Why the last session ended; NULL while it is online.';
COMMENT ON COLUMN nodes.best_height IS 'Highest best block that it reported in the latest session that reported one.';
COMMENT ON COLUMN nodes.best_hash IS 'Hash of that block.';
COMMENT ON COLUMN nodes.best_at IS 'Arrival of the first message that reported it.';
COMMENT ON COLUMN nodes.best_session_at IS 'Start of the session that reported it.';
COMMENT ON COLUMN nodes.finalized_height IS 'Highest finalized block that it reported in the latest session that reported one.';
COMMENT ON COLUMN nodes.finalized_hash IS 'Hash of that block.';
COMMENT ON COLUMN nodes.finalized_at IS 'Arrival of the first message that reported it.';
COMMENT ON COLUMN nodes.finalized_session_at IS 'Start of the session that reported it.';
COMMENT ON COLUMN nodes.peers IS 'Connected peers, as reported last.';
COMMENT ON COLUMN nodes.download_bytes_per_s IS 'Download in bytes per second, as reported last.';
COMMENT ON COLUMN nodes.upload_bytes_per_s IS 'Upload in bytes per second, as reported last.';
COMMENT ON COLUMN nodes.network_at IS 'Arrival of the message with peers, download and upload.';
COMMENT ON COLUMN nodes.network_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN nodes.transactions IS 'Transactions in the pool, as reported last.';
COMMENT ON COLUMN nodes.state_cache_bytes IS 'State cache in use in bytes, as reported last.';
COMMENT ON COLUMN nodes.pool_at IS 'Arrival of the message with transactions and state cache.';
COMMENT ON COLUMN nodes.pool_message IS 'Number of that message: decides between two that arrived together.';
CREATE INDEX nodes_recent_idx ON nodes (session_at DESC, session_id DESC);
CREATE INDEX nodes_name_idx ON nodes (name, session_at DESC);
CREATE INDEX nodes_chain_idx ON nodes (chain, session_at DESC);
CREATE INDEX nodes_online_idx ON nodes (session_at DESC, session_id DESC) WHERE online;

CREATE TABLE session_values (
    session_id bigint PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    best_height bigint,
    best_hash text,
    best_at timestamptz,
    finalized_height bigint,
    finalized_hash text,
    finalized_at timestamptz,
    peers bigint,
    download_bytes_per_s double precision,
    upload_bytes_per_s double precision,
    network_at timestamptz,
    network_message bigint,
    transactions bigint,
    state_cache_bytes double precision,
    pool_at timestamptz,
    pool_message bigint
);
COMMENT ON TABLE session_values IS 'Projection: values of sessions whose node is not known, or not yet; they move to nodes when it is.';
COMMENT ON COLUMN session_values.session_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN session_values.seen_at IS 'Arrival of the last message with a value.';
COMMENT ON COLUMN session_values.best_height IS 'As in nodes.';
COMMENT ON COLUMN session_values.best_hash IS 'As in nodes.';
COMMENT ON COLUMN session_values.best_at IS 'As in nodes.';
COMMENT ON COLUMN session_values.finalized_height IS 'As in nodes.';
COMMENT ON COLUMN session_values.finalized_hash IS 'As in nodes.';
COMMENT ON COLUMN session_values.finalized_at IS 'As in nodes.';
COMMENT ON COLUMN session_values.peers IS 'As in nodes.';
COMMENT ON COLUMN session_values.download_bytes_per_s IS 'As in nodes.';
COMMENT ON COLUMN session_values.upload_bytes_per_s IS 'As in nodes.';
COMMENT ON COLUMN session_values.network_at IS 'As in nodes.';
COMMENT ON COLUMN session_values.network_message IS 'As in nodes.';
COMMENT ON COLUMN session_values.transactions IS 'As in nodes.';
COMMENT ON COLUMN session_values.state_cache_bytes IS 'As in nodes.';
COMMENT ON COLUMN session_values.pool_at IS 'As in nodes.';
COMMENT ON COLUMN session_values.pool_message IS 'As in nodes.';

INSERT INTO projections (name) VALUES ('nodes');
