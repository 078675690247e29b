-- A view loses columns only by being made anew, and with it those that read it.
DROP VIEW IF EXISTS tetcore_logs, substrate_logs, block_imports, node_intervals, finality, transaction_pools, profiling_spans, peer_reports, telemetry_logs;
DROP FUNCTION within_last(timestamptz, interval);
DROP FUNCTION telemetry_since(interval);

CREATE VIEW telemetry_logs AS
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages m JOIN message_kinds k ON k.id = m.kind_id
UNION ALL
SELECT m.id, m.created_at, coalesce(m.node_ts, m.created_at + m.node_delta_us * interval '1 microsecond', m.created_at) AS node_ts, m.peer_connection_id, k.msg, m.target, m.logs, m.kind_id
FROM telemetry_messages_audit m JOIN message_kinds k ON k.id = m.kind_id;
COMMENT ON VIEW telemetry_logs IS 'Every message. Give it a range of created_at, a session (peer_connection_id) or a kind (msg), and it uses the indexes beneath.';
COMMENT ON COLUMN telemetry_logs.id IS 'Number of the message; grows with the time of arrival at one server.';
COMMENT ON COLUMN telemetry_logs.created_at IS 'When the server read the message from the socket, by its clock; the axis of time of everything here.';
COMMENT ON COLUMN telemetry_logs.node_ts IS 'Time that the node claimed, by its clock; created_at if it claimed none.';
COMMENT ON COLUMN telemetry_logs.peer_connection_id IS 'Session, see peer_connections.';
COMMENT ON COLUMN telemetry_logs.msg IS 'Kind of the message, for instance block.import.';
COMMENT ON COLUMN telemetry_logs.target IS 'Field target of the message (tracing), else NULL.';
COMMENT ON COLUMN telemetry_logs.kind_id IS 'Kind as a number, see message_kinds; quicker to filter by than msg where a kind is rare.';
COMMENT ON COLUMN telemetry_logs.logs IS 'Fields of the event at the top level, old and new nodes alike.';
COMMENT ON COLUMN telemetry_rows.id IS NULL;
COMMENT ON COLUMN telemetry_rows.created_at IS NULL;
COMMENT ON COLUMN telemetry_rows.peer_connection_id IS NULL;
COMMENT ON COLUMN telemetry_rows.kind_id IS NULL;
COMMENT ON COLUMN telemetry_rows.target IS NULL;
COMMENT ON COLUMN telemetry_rows.logs IS NULL;

CREATE VIEW substrate_logs AS
SELECT id,
       jsonb_build_object('msg', msg, 'level', 'INFO', 'ts', to_char(node_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')) || logs AS logs,
       peer_connection_id,
       created_at AT TIME ZONE 'UTC' AS created_at
FROM telemetry_logs;
COMMENT ON VIEW substrate_logs IS 'The columns of substrate-analytics (created_at is naive UTC there), for panels and notebooks made for it. New ones should read telemetry_logs.';
CREATE VIEW tetcore_logs AS SELECT * FROM substrate_logs;
COMMENT ON VIEW tetcore_logs IS 'The columns of tetcore-analytics 0.1; see substrate_logs.';

CREATE VIEW block_imports AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS hash,
       l.logs ->> 'origin' AS origin
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'block.import';
CREATE VIEW node_intervals AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS best_hash,
       telemetry_integer(l.logs, 'finalized_height') AS finalized_height,
       l.logs ->> 'finalized_hash' AS finalized_hash,
       telemetry_integer(l.logs, 'txcount') AS transactions,
       telemetry_number(l.logs, 'used_state_cache_size') AS state_cache_bytes,
       telemetry_integer(l.logs, 'peers') AS peers,
       telemetry_number(l.logs, 'bandwidth_download') AS download_bytes_per_second,
       telemetry_number(l.logs, 'bandwidth_upload') AS upload_bytes_per_second
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'system.interval';
CREATE VIEW finality AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'height') AS height,
       l.logs ->> 'best' AS hash
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'notify.finalized';
CREATE VIEW transaction_pools AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name, p.chain, p.genesis_hash,
       telemetry_integer(l.logs, 'ready') AS ready,
       telemetry_integer(l.logs, 'future') AS future
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'txpool.import';
CREATE VIEW profiling_spans AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id, p.name AS node_name, p.chain, p.genesis_hash,
       l.target, l.logs ->> 'name' AS name, telemetry_number(l.logs, 'time') AS nanoseconds, l.logs -> 'values' AS values
FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE l.msg = 'tracing.profiling';
CREATE VIEW peer_reports AS
SELECT l.id, l.created_at, l.peer_connection_id, p.peer_id AS reporting_peer, p.chain, p.genesis_hash,
       peer.key AS remote_peer, telemetry_integer(peer.value, 'reputation') AS reputation,
       peer.value -> 'connected' = 'true'::jsonb AS connected
FROM telemetry_logs l
JOIN peer_connections p ON p.id = l.peer_connection_id
CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(l.logs #> '{state,peerset,nodes}') WHEN 'object' THEN l.logs #> '{state,peerset,nodes}' END) AS peer
WHERE l.msg = 'system.network_state';

COMMENT ON VIEW block_imports IS 'Blocks that became best at a node: block number (height), hash and origin (how the block came).';
COMMENT ON VIEW node_intervals IS 'What nodes report each 5 seconds, in two halves: chain (height, finalized_height, transactions) and network (peers, bandwidth); the columns of the other half are NULL.';
COMMENT ON VIEW finality IS 'Blocks that a node saw finalized: block number (height) and hash.';
COMMENT ON VIEW transaction_pools IS 'Transactions that wait in the pool of a node: ready for a block, or for the future.';
COMMENT ON VIEW profiling_spans IS 'Spans measured by nodes that send tracing.profiling (nodes up to early 2021 and custom ones): target, name and duration in nanoseconds.';
COMMENT ON VIEW peer_reports IS 'What a node thinks of each of its peers (reputation), from system.network_state, which nodes up to early 2021 and custom ones send.';
