-- Fills the log with a week of spans of four nodes under test, and `node_hours` with a year of ten
-- nodes of one chain.
--
-- Variables of psql: spans.
DO $$
DECLARE
    day timestamptz;
BEGIN
    FOR day IN SELECT generate_series(date_trunc('day', now(), 'UTC') - interval '8 days', date_trunc('day', now(), 'UTC') - interval '1 day', interval '1 day') LOOP
        EXECUTE format('CREATE TABLE telemetry_messages_rollup_%s PARTITION OF telemetry_messages FOR VALUES FROM (%L) TO (%L)',
            to_char(day, 'YYYYMMDD'), day, day + interval '1 day');
    END LOOP;
END
$$;

SELECT nextval('telemetry_messages_id_seq') AS first_id, nextval('peer_connections_id_seq') AS first_session \gset

INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, name, chain, node_id, connection_id, server_id, genesis_hash,
    last_seen_at, disconnected_at, disconnect_reason)
SELECT :first_session + node, '10.0.0.' || node, '12D3KooW' || lpad(translate(node::text, '0', 'z'), 44, 'z'),
    now() - interval '365 days', 'bench-' || node, 'Bench', 1, :first_session + node, 'bench', '0x1', now(), now(), 'closed'
FROM generate_series(0, 9) AS node;

INSERT INTO message_kinds (id, msg) SELECT max(id) + 1, 'tracing.profiling' FROM message_kinds
HAVING count(*) FILTER (WHERE msg = 'tracing.profiling') = 0;

INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, target, logs)
SELECT :first_id + i, now() - interval '7 days' + i * (interval '7 days' / :spans), :first_session + i % 4,
    (SELECT id FROM message_kinds WHERE msg = 'tracing.profiling'), 'pallet_' || i / 4 % 5,
    jsonb_build_object('id', i, 'name', 'call_' || i / 20 % 5, 'parent_id', 1, 'target', 'pallet_' || i / 4 % 5,
        'time', round(exp(random() * 3 + 10 + i / 4 % 5))::text, 'values', jsonb_build_object('block', i))
FROM generate_series(0, :spans - 1) AS i;

INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, best_height, best_at, best_message, peers, network_at, network_message,
    lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count)
SELECT '12D3KooW' || lpad(translate(node::text, '0', 'z'), 44, 'z'), '0x1', hour, 4000, 1440, number * 600 + node, hour, 1, 20, hour, 1,
    1440, 720, 14400, 720, 0, 0, 0, 0, 0, 0
FROM generate_series(0, 9) AS node,
    generate_series(date_trunc('hour', now()) - interval '365 days', date_trunc('hour', now()), interval '1 hour') WITH ORDINALITY AS hours (hour, number)
ON CONFLICT (peer_id, genesis_hash, hour) DO NOTHING;

VACUUM (ANALYZE) telemetry_messages;
VACUUM (ANALYZE) node_hours;
