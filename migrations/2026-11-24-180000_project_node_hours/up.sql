-- An hour of a node, for charts of weeks and years.

CREATE TABLE node_hours (
    peer_id text NOT NULL,
    genesis_hash text NOT NULL,
    hour timestamptz NOT NULL,
    messages bigint NOT NULL,
    intervals bigint NOT NULL,
    best_height bigint,
    best_at timestamptz,
    best_message bigint,
    finalized_height bigint,
    finalized_at timestamptz,
    finalized_message bigint,
    peers bigint,
    download_bytes_per_s double precision,
    upload_bytes_per_s double precision,
    network_at timestamptz,
    network_message bigint,
    transactions bigint,
    state_cache_bytes double precision,
    pool_at timestamptz,
    pool_message bigint,
    ready bigint,
    future bigint,
    txpool_at timestamptz,
    txpool_message bigint,
    lag_min bigint,
    lag_sum bigint NOT NULL,
    lag_count bigint NOT NULL,
    lag_max bigint,
    peers_min bigint,
    peers_sum bigint NOT NULL,
    peers_count bigint NOT NULL,
    peers_max bigint,
    download_min bigint,
    download_sum bigint NOT NULL,
    download_count bigint NOT NULL,
    download_max bigint,
    upload_min bigint,
    upload_sum bigint NOT NULL,
    upload_count bigint NOT NULL,
    upload_max bigint,
    transactions_min bigint,
    transactions_sum bigint NOT NULL,
    transactions_count bigint NOT NULL,
    transactions_max bigint,
    seconds_online bigint NOT NULL DEFAULT 0,
    gaps jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (peer_id, genesis_hash, hour)
) WITH (fillfactor = 80);
COMMENT ON TABLE node_hours IS 'Projection: what a node reported in an hour. The mean of a value is its sum divided by its count.';
COMMENT ON COLUMN node_hours.peer_id IS 'libp2p identity that the node claims.';
COMMENT ON COLUMN node_hours.genesis_hash IS 'Identity of its chain; empty for old nodes that do not say it.';
COMMENT ON COLUMN node_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN node_hours.messages IS 'Messages of all kinds.';
COMMENT ON COLUMN node_hours.intervals IS 'Messages system.interval; each of its two halves is due every 5 s, so 1,440 an hour.';
COMMENT ON COLUMN node_hours.best_height IS 'Number of the best block, as reported last in the hour.';
COMMENT ON COLUMN node_hours.best_at IS 'Arrival of the message with best block.';
COMMENT ON COLUMN node_hours.best_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN node_hours.finalized_height IS 'Number of the last finalized block, as reported last in the hour.';
COMMENT ON COLUMN node_hours.finalized_at IS 'Arrival of the message with finalized block.';
COMMENT ON COLUMN node_hours.finalized_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN node_hours.peers IS 'Connected peers, as reported last in the hour.';
COMMENT ON COLUMN node_hours.download_bytes_per_s IS 'Download in bytes per second, as reported last in the hour.';
COMMENT ON COLUMN node_hours.upload_bytes_per_s IS 'Upload in bytes per second, as reported last in the hour.';
COMMENT ON COLUMN node_hours.network_at IS 'Arrival of the message with peers, download and upload.';
COMMENT ON COLUMN node_hours.network_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN node_hours.transactions IS 'Transactions in the pool, as reported last in the hour.';
COMMENT ON COLUMN node_hours.state_cache_bytes IS 'State cache in use in bytes, as reported last in the hour.';
COMMENT ON COLUMN node_hours.pool_at IS 'Arrival of the message with transactions and state cache.';
COMMENT ON COLUMN node_hours.pool_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN node_hours.ready IS 'Transactions that are ready for a block, as reported last in the hour.';
COMMENT ON COLUMN node_hours.future IS 'Transactions that wait for others, as reported last in the hour.';
COMMENT ON COLUMN node_hours.txpool_at IS 'Arrival of the message with ready and future.';
COMMENT ON COLUMN node_hours.txpool_message IS 'Number of that message: decides between two that arrived together.';
COMMENT ON COLUMN node_hours.lag_min IS 'Smallest of the hour: blocks between the best and the last finalized block.';
COMMENT ON COLUMN node_hours.lag_sum IS 'Sum of the reports of the hour: blocks between the best and the last finalized block.';
COMMENT ON COLUMN node_hours.lag_count IS 'Reports of the hour: blocks between the best and the last finalized block.';
COMMENT ON COLUMN node_hours.lag_max IS 'Largest of the hour: blocks between the best and the last finalized block.';
COMMENT ON COLUMN node_hours.peers_min IS 'Smallest of the hour: connected peers.';
COMMENT ON COLUMN node_hours.peers_sum IS 'Sum of the reports of the hour: connected peers.';
COMMENT ON COLUMN node_hours.peers_count IS 'Reports of the hour: connected peers.';
COMMENT ON COLUMN node_hours.peers_max IS 'Largest of the hour: connected peers.';
COMMENT ON COLUMN node_hours.download_min IS 'Smallest of the hour: download in bytes per second.';
COMMENT ON COLUMN node_hours.download_sum IS 'Sum of the reports of the hour: download in bytes per second.';
COMMENT ON COLUMN node_hours.download_count IS 'Reports of the hour: download in bytes per second.';
COMMENT ON COLUMN node_hours.download_max IS 'Largest of the hour: download in bytes per second.';
COMMENT ON COLUMN node_hours.upload_min IS 'Smallest of the hour: upload in bytes per second.';
COMMENT ON COLUMN node_hours.upload_sum IS 'Sum of the reports of the hour: upload in bytes per second.';
COMMENT ON COLUMN node_hours.upload_count IS 'Reports of the hour: upload in bytes per second.';
COMMENT ON COLUMN node_hours.upload_max IS 'Largest of the hour: upload in bytes per second.';
COMMENT ON COLUMN node_hours.transactions_min IS 'Smallest of the hour: transactions in the pool.';
COMMENT ON COLUMN node_hours.transactions_sum IS 'Sum of the reports of the hour: transactions in the pool.';
COMMENT ON COLUMN node_hours.transactions_count IS 'Reports of the hour: transactions in the pool.';
COMMENT ON COLUMN node_hours.transactions_max IS 'Largest of the hour: transactions in the pool.';
COMMENT ON COLUMN node_hours.seconds_online IS 'Seconds of the hour in which it had an open session.';
COMMENT ON COLUMN node_hours.gaps IS 'Sessions that ended in the hour: how many, by disconnect_reason.';
CREATE INDEX node_hours_hour_idx ON node_hours USING brin (hour);

CREATE TABLE session_hours (
    session_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    messages bigint NOT NULL,
    intervals bigint NOT NULL,
    best_height bigint,
    best_at timestamptz,
    best_message bigint,
    finalized_height bigint,
    finalized_at timestamptz,
    finalized_message bigint,
    peers bigint,
    download_bytes_per_s double precision,
    upload_bytes_per_s double precision,
    network_at timestamptz,
    network_message bigint,
    transactions bigint,
    state_cache_bytes double precision,
    pool_at timestamptz,
    pool_message bigint,
    ready bigint,
    future bigint,
    txpool_at timestamptz,
    txpool_message bigint,
    lag_min bigint,
    lag_sum bigint NOT NULL,
    lag_count bigint NOT NULL,
    lag_max bigint,
    peers_min bigint,
    peers_sum bigint NOT NULL,
    peers_count bigint NOT NULL,
    peers_max bigint,
    download_min bigint,
    download_sum bigint NOT NULL,
    download_count bigint NOT NULL,
    download_max bigint,
    upload_min bigint,
    upload_sum bigint NOT NULL,
    upload_count bigint NOT NULL,
    upload_max bigint,
    transactions_min bigint,
    transactions_sum bigint NOT NULL,
    transactions_count bigint NOT NULL,
    transactions_max bigint,
    PRIMARY KEY (session_id, hour)
);
COMMENT ON TABLE session_hours IS 'Projection: hours of sessions whose node is not known, or not yet; they move to node_hours when it is.';
COMMENT ON COLUMN session_hours.session_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN session_hours.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN session_hours.messages IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.intervals IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.best_height IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.best_at IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.best_message IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.finalized_height IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.finalized_at IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.finalized_message IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.peers IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.download_bytes_per_s IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.upload_bytes_per_s IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.network_at IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.network_message IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.transactions IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.state_cache_bytes IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.pool_at IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.pool_message IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.ready IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.future IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.txpool_at IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.txpool_message IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.lag_min IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.lag_sum IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.lag_count IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.lag_max IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.peers_min IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.peers_sum IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.peers_count IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.peers_max IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.download_min IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.download_sum IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.download_count IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.download_max IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.upload_min IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.upload_sum IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.upload_count IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.upload_max IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.transactions_min IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.transactions_sum IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.transactions_count IS 'As in node_hours.';
COMMENT ON COLUMN session_hours.transactions_max IS 'As in node_hours.';

INSERT INTO projections (name) VALUES ('node_hours');
