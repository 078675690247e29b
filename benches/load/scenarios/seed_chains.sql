-- Fills the log with the last day of a month of ten nodes of one chain, as they report their blocks.
--
-- Variables of psql: messages (of the month).
-- The server works on these tables, too: what waits for it is tried again, each in a transaction of its own.
CREATE TEMPORARY VIEW partitions AS
SELECT format('CREATE TABLE IF NOT EXISTS telemetry_messages_month_%s PARTITION OF telemetry_messages FOR VALUES FROM (%L) TO (%L)',
    to_char(day, 'YYYYMMDD'), day, day + interval '1 day') AS statement
FROM generate_series(date_trunc('day', now(), 'UTC') - interval '31 days', date_trunc('day', now(), 'UTC') - interval '1 day', interval '1 day') AS day;
SET lock_timeout = '500ms';
\set ON_ERROR_STOP off
SELECT statement FROM partitions \gexec
SELECT pg_sleep(3) \g /dev/null
SELECT statement FROM partitions \gexec
\set ON_ERROR_STOP on
RESET lock_timeout;

SELECT nextval('telemetry_messages_id_seq') AS first_id, nextval('peer_connections_id_seq') AS first_session \gset

INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, name, chain, version, implementation, node_id, connection_id, server_id, genesis_hash,
    cpu, core_count, memory_bytes, cpu_hashrate_score, last_seen_at, disconnected_at, disconnect_reason)
SELECT :first_session + node, '10.0.0.' || node, '12D3KooW' || lpad(translate(node::text, '0', 'z'), 44, 'z'),
    now() - interval '30 days', 'bench-' || node, 'Bench', '1.' || node % 3, 'node', 1, :first_session + node, 'bench', '0x' || md5('a') || md5('b'),
    'EPYC', 8, 68719476736, 1000, now(), now(), 'closed'
FROM generate_series(0, 9) AS node;

-- Each node reports each block three times: as its best, as finalized, and in between.
INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs)
SELECT :first_id + (block * 30 + node * 3 + said.place),
    now() - interval '1 day' + block * (interval '1 day' / (:messages / 900)) + said.after + node * node * interval '25 milliseconds' * (0.5 + random()),
    :first_session + node, k.id, format(said.logs, :messages / 30 + block, md5(block::text) || md5('h'), CASE node WHEN 0 THEN 'Own' ELSE 'NetworkBroadcast' END)::jsonb
FROM generate_series(0, :messages / 900 - 1) AS block
CROSS JOIN generate_series(0, 9) AS node
CROSS JOIN LATERAL (VALUES
    (0, 'block.import', interval '0', '{"height":%1$s,"best":"0x%2$s","origin":"%3$s"}'),
    (1, 'system.interval', interval '2 seconds', '{"height":%1$s,"best":"0x%2$s","txcount":7}'),
    (2, 'notify.finalized', interval '13 seconds', '{"height":"%1$s","best":"0x%2$s"}')
) AS said (place, msg, after, logs)
JOIN message_kinds k ON k.msg = said.msg;

ANALYZE telemetry_messages;
