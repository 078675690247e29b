-- Queries over the last minutes or days lock the partitions of that time only.
--
-- now() is not known when a query is planned, so created_at > now() - interval
-- locks all partitions there are, each with its indexes: 4,000 locks for a year,
-- and eight such queries at once exhaust the table of locks. within_last says
-- the same twice: exactly, when the query runs, and as a constant when it is
-- planned. A plan that is kept for longer, as of a prepared statement, has an
-- earlier constant: it reads more partitions, and its answer stays right.

-- Others wait behind the locks on the views, so this gives up soon; the server tries again.
SET LOCAL lock_timeout = '3s';

CREATE FUNCTION telemetry_since(length interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT now() - length $$;
COMMENT ON FUNCTION telemetry_since IS 'The time so long before a query is planned. Declared immutable so that the planner takes it as a constant; only for within_last, which is exact.';

CREATE FUNCTION within_last(created_at timestamptz, length interval) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT created_at >= now() - length AND created_at >= telemetry_since(length) $$;
COMMENT ON FUNCTION within_last IS 'Whether a time is within the last interval, as within_last(created_at, ''1 hour''). As created_at >= now() - interval ''1 hour'', but only the partitions of that time are locked and read.';

CREATE OR REPLACE VIEW telemetry_logs AS
SELECT m.id, m.created_at, m.node_ts, m.peer_connection_id, m.msg, m.target, m.logs, m.kind_id,
       p.peer_id, p.name, p.chain, p.genesis_hash, p.version, p.authority
FROM (
    SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
    FROM telemetry_messages m JOIN message_kinds k ON k.id = m.kind_id
    UNION ALL
    SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
    FROM telemetry_messages_audit m JOIN message_kinds k ON k.id = m.kind_id
) m
LEFT JOIN peer_connections p ON p.id = m.peer_connection_id;
COMMENT ON VIEW telemetry_logs IS 'Every message. Give it a range of created_at (within_last, or constants), and a session (peer_connection_id) or a kind (msg): it uses the indexes beneath.';
COMMENT ON COLUMN telemetry_logs.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN telemetry_logs.name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN telemetry_logs.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN telemetry_logs.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN telemetry_logs.version IS 'Version of the node''s software.';
COMMENT ON COLUMN telemetry_logs.authority IS 'Whether the node says that it is an authority.';

COMMENT ON COLUMN telemetry_rows.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN telemetry_rows.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN telemetry_rows.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN telemetry_rows.kind_id IS 'Kind, see message_kinds.';
COMMENT ON COLUMN telemetry_rows.target IS 'Field target of the message (tracing), else NULL.';
COMMENT ON COLUMN telemetry_rows.logs IS 'Fields of the event at the top level.';

CREATE OR REPLACE VIEW block_imports AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS hash,
       l.logs ->> 'origin' AS origin,
       p.version, p.authority
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'block.import';
COMMENT ON COLUMN block_imports.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN block_imports.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN block_imports.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN block_imports.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN block_imports.name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN block_imports.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN block_imports.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN block_imports.version IS 'Version of the node''s software.';
COMMENT ON COLUMN block_imports.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN block_imports.height IS 'Number of the block.';
COMMENT ON COLUMN block_imports.hash IS 'Hash of the block, 0x and hexadecimal digits.';
COMMENT ON COLUMN block_imports.origin IS 'How the block came to the node, for instance NetworkBroadcast or Own.';

CREATE OR REPLACE VIEW node_intervals AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS best_hash,
       telemetry_integer(l.logs, 'finalized_height') AS finalized_height,
       l.logs ->> 'finalized_hash' AS finalized_hash,
       telemetry_integer(l.logs, 'txcount') AS transactions,
       telemetry_number(l.logs, 'used_state_cache_size') AS state_cache_bytes,
       telemetry_integer(l.logs, 'peers') AS peers,
       telemetry_number(l.logs, 'bandwidth_download') AS download_bytes_per_second,
       telemetry_number(l.logs, 'bandwidth_upload') AS upload_bytes_per_second,
       p.version, p.authority
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'system.interval';
COMMENT ON COLUMN node_intervals.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN node_intervals.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN node_intervals.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN node_intervals.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN node_intervals.name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN node_intervals.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN node_intervals.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN node_intervals.version IS 'Version of the node''s software.';
COMMENT ON COLUMN node_intervals.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN node_intervals.height IS 'Number of the node''s best block; NULL in the half about the network.';
COMMENT ON COLUMN node_intervals.best_hash IS 'Hash of that block, 0x and hexadecimal digits.';
COMMENT ON COLUMN node_intervals.finalized_height IS 'Number of the last block that the node saw finalized.';
COMMENT ON COLUMN node_intervals.finalized_hash IS 'Hash of that block, 0x and hexadecimal digits.';
COMMENT ON COLUMN node_intervals.transactions IS 'Transactions in the pool.';
COMMENT ON COLUMN node_intervals.state_cache_bytes IS 'State cache in use, bytes.';
COMMENT ON COLUMN node_intervals.peers IS 'Connected peers; NULL in the half about the chain.';
COMMENT ON COLUMN node_intervals.download_bytes_per_second IS 'Download, bytes per second.';
COMMENT ON COLUMN node_intervals.upload_bytes_per_second IS 'Upload, bytes per second.';

CREATE OR REPLACE VIEW finality AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS hash,
       p.version, p.authority
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'notify.finalized';
COMMENT ON COLUMN finality.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN finality.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN finality.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN finality.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN finality.name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN finality.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN finality.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN finality.version IS 'Version of the node''s software.';
COMMENT ON COLUMN finality.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN finality.height IS 'Number of the finalized block.';
COMMENT ON COLUMN finality.hash IS 'Hash of the block, 0x and hexadecimal digits.';

CREATE OR REPLACE VIEW transaction_pools AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'ready') AS ready,
       telemetry_integer(l.logs, 'future') AS future,
       p.version, p.authority
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'txpool.import';
COMMENT ON COLUMN transaction_pools.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN transaction_pools.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN transaction_pools.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN transaction_pools.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN transaction_pools.name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN transaction_pools.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN transaction_pools.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN transaction_pools.version IS 'Version of the node''s software.';
COMMENT ON COLUMN transaction_pools.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN transaction_pools.ready IS 'Transactions that are ready for a block.';
COMMENT ON COLUMN transaction_pools.future IS 'Transactions that wait for others.';

CREATE OR REPLACE VIEW profiling_spans AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name AS node_name, p.chain, p.genesis_hash,
       l.target, l.logs ->> 'name' AS name, telemetry_number(l.logs, 'time') AS nanoseconds, l.logs -> 'values' AS values,
       p.version, p.authority
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'tracing.profiling';
COMMENT ON COLUMN profiling_spans.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN profiling_spans.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN profiling_spans.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN profiling_spans.peer_id IS 'libp2p identity that the node claims; NULL if it sent none.';
COMMENT ON COLUMN profiling_spans.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN profiling_spans.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN profiling_spans.version IS 'Version of the node''s software.';
COMMENT ON COLUMN profiling_spans.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN profiling_spans.node_name IS 'Name that the operator gave to the node; not unique.';
COMMENT ON COLUMN profiling_spans.target IS 'Part of the node that was measured, for instance pallet_babe.';
COMMENT ON COLUMN profiling_spans.name IS 'Name of the span, for instance on_initialize.';
COMMENT ON COLUMN profiling_spans.nanoseconds IS 'How long the span took, nanoseconds.';
COMMENT ON COLUMN profiling_spans.values IS 'Other values of the span, as the node sent them.';

CREATE OR REPLACE VIEW peer_reports AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id AS reporting_peer, p.chain, p.genesis_hash,
       peer.key AS remote_peer, telemetry_integer(peer.value, 'reputation') AS reputation,
       peer.value -> 'connected' = 'true'::jsonb AS connected,
       p.name, p.version, p.authority
FROM telemetry_logs l
JOIN peer_connections p ON p.id = l.peer_connection_id
CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(l.logs #> '{state,peerset,nodes}') WHEN 'object' THEN l.logs #> '{state,peerset,nodes}' END) AS peer
WHERE l.msg = 'system.network_state';
COMMENT ON COLUMN peer_reports.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN peer_reports.created_at IS 'When the server read the message from the socket, by its clock.';
COMMENT ON COLUMN peer_reports.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN peer_reports.name IS 'Name of the node that reports; not unique.';
COMMENT ON COLUMN peer_reports.chain IS 'Name of the chain; not unique, see genesis_hash.';
COMMENT ON COLUMN peer_reports.genesis_hash IS 'Identity of the chain, 0x and 64 hexadecimal digits, as claimed by the node.';
COMMENT ON COLUMN peer_reports.version IS 'Version of the node''s software.';
COMMENT ON COLUMN peer_reports.authority IS 'Whether the node says that it is an authority.';
COMMENT ON COLUMN peer_reports.reporting_peer IS 'libp2p identity of the node that reports.';
COMMENT ON COLUMN peer_reports.remote_peer IS 'libp2p identity of the peer that is judged.';
COMMENT ON COLUMN peer_reports.reputation IS 'Its reputation, from -2147483648 (banned) to 2147483647; NULL if it is no number.';
COMMENT ON COLUMN peer_reports.connected IS 'Whether the two are connected; NULL if the report does not tell.';

-- created_at becomes the column itself, so that a range of it prunes partitions and
-- uses indexes. Literals mean the same where the time zone of the session is UTC.
-- Views that somebody built on these keep the old ones alive.
DO $views$
BEGIN
    DROP VIEW IF EXISTS tetcore_logs, substrate_logs;
    CREATE VIEW substrate_logs AS
    SELECT id,
           jsonb_build_object('msg', msg, 'level', 'INFO', 'ts', to_char(node_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')) || logs AS logs,
           peer_connection_id,
           created_at AS created_at
    FROM telemetry_logs;
    CREATE VIEW tetcore_logs AS SELECT * FROM substrate_logs;
    COMMENT ON VIEW substrate_logs IS 'The columns of substrate-analytics, for panels and notebooks made for it. New ones should read telemetry_logs.';
    COMMENT ON VIEW tetcore_logs IS 'The columns of tetcore-analytics 0.1; see substrate_logs.';
    COMMENT ON COLUMN substrate_logs.id IS 'Number of the message; grows with the time of arrival at one server.';
    COMMENT ON COLUMN substrate_logs.logs IS 'Fields of the event, with msg, level and ts as these programs stored them.';
    COMMENT ON COLUMN substrate_logs.peer_connection_id IS 'Session, see peer_connections.';
    COMMENT ON COLUMN substrate_logs.created_at IS 'When the server read the message, by its clock, with its time zone. It was naive UTC in these programs, which neither prunes partitions nor uses an index here.';
    COMMENT ON COLUMN tetcore_logs.id IS 'Number of the message; grows with the time of arrival at one server.';
    COMMENT ON COLUMN tetcore_logs.logs IS 'Fields of the event, with msg, level and ts as these programs stored them.';
    COMMENT ON COLUMN tetcore_logs.peer_connection_id IS 'Session, see peer_connections.';
    COMMENT ON COLUMN tetcore_logs.created_at IS 'When the server read the message, by its clock, with its time zone. It was naive UTC in these programs, which neither prunes partitions nor uses an index here.';
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE WARNING 'substrate_logs and tetcore_logs stay as they are, because other views read them: %', SQLERRM;
END
$views$;
