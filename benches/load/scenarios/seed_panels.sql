-- Grows what tests/integration/grafana/filled.sql made: a fleet of :nodes nodes, :messages messages of a day, of which
-- one node has a whole day of its own, and :events events of two weeks.

INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, genesis_hash, connection_id, server_id, last_seen_at, name, chain, version, implementation, startup_time)
SELECT 100000 + n, '10.0.0.1', 'peer ' || n, now() - interval '1 day', '0xaa', 100000 + n, 'server 1', now(), 'node ' || n, 'Polkadot', '1.' || n % 3, 'parity-polkadot', 1700000000
FROM generate_series(201, :nodes) n;
INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, best_height, finalized_height, peers, server_id)
SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, now(), id % 20 <> 0, created_at, 28000000 - id % 5, 27999990, 25, server_id FROM peer_connections WHERE id > 100000;
INSERT INTO node_status
SELECT peer_id, genesis_hash, CASE WHEN online THEN 'online' ELSE 'offline' END, 'silent', since, since, 2, 1, since FROM nodes WHERE session_id > 100000;
INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count)
SELECT n.peer_id, n.genesis_hash, date_trunc('hour', now()) - h * interval '1 hour', 3600, 1400, 300, 100, 2500, 100, 1, 1, 1, 1, 1, 1 FROM nodes n, generate_series(0, 335) h WHERE n.session_id > 100000
-- As they come, hour after hour.
ORDER BY h DESC;

INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, node_delta_us, logs)
SELECT 1000000 + i, now() - i * interval '86400 seconds' / :messages, 100000 + 201 + i % (:nodes - 200), k.id, 0, jsonb_build_object('height', i, 'best', '0xcc', 'origin', 'NetworkBroadcast', 'peers', 25)
FROM generate_series(1, :messages) i, (SELECT id FROM message_kinds WHERE msg = 'block.import') k;
INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, node_delta_us, logs)
SELECT 100000000 + i, now() - i * interval '1.8 seconds', 1, k.id, 0, CASE k.msg
    WHEN 'block.import' THEN jsonb_build_object('height', 28000000 - i / 6, 'best', '0xcc', 'origin', 'NetworkBroadcast')
    ELSE jsonb_build_object('height', 28000000 - i / 6, 'finalized_height', 27999990 - i / 6, 'peers', 25, 'txcount', 7, 'bandwidth_download', 1000, 'bandwidth_upload', 2000) END
FROM generate_series(1, 48000) i JOIN message_kinds k ON k.msg = CASE i % 4 WHEN 0 THEN 'block.import' ELSE 'system.interval' END;
INSERT INTO events (id, event_id, source, name, severity, "time", received_at, message_id, data, audit)
SELECT 100000 + i, md5((100000 + i)::text), 'source ' || i % 100, 'name ' || i % 50, 'info', at, at, i, '{"_e": 1}', false
FROM (SELECT i, now() - i * interval '1209600 seconds' / :events AS at FROM generate_series(1, :events) i) e;
VACUUM ANALYZE;
