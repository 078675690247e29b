-- Weeks of two chains with a hundred nodes each, two services and a benchmark: enough that each panel has
-- something to show, and that an index is the better way for the range that a dashboard opens with.

INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, genesis_hash, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason, name, chain, version, implementation, startup_time, target_os, target_arch, cpu, core_count, memory_bytes, authority)
SELECT s * 1000 + n, '10.0.0.1', 'peer ' || n, now() - (s * 2 + 1) * interval '1 hour', CASE WHEN n <= 100 THEN '0xaa' ELSE '0xbb' END, s * 1000 + n, 'server 1', now(),
       CASE WHEN s > 0 THEN now() - s * interval '2 hours' END, CASE WHEN s > 0 THEN 'connection_lost' END, 'node ' || n, CASE WHEN n <= 100 THEN 'Polkadot' ELSE 'Kusama' END, '1.' || s, 'parity-polkadot', 1700000000 - s, 'linux', 'x86_64', 'EPYC', 16, 68719476736, n % 2 = 0
FROM generate_series(1, 200) n, generate_series(0, 19) s;

INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, best_height, best_hash, finalized_height, peers, download_bytes_per_s, upload_bytes_per_s, transactions, server_id)
SELECT peer_id, genesis_hash, name, chain, id, created_at, id + 19000, now() - interval '30 days', now(), id % 10 <> 0, created_at, 28000000 - id, '0xcc', 27999990 - id, 25, 1000, 2000, 7, 'server 1'
FROM peer_connections WHERE id < 1000;

INSERT INTO node_status
SELECT peer_id, genesis_hash, (ARRAY['online', 'syncing', 'lagging', 'stalled', 'conflict', 'late', 'missing', 'telemetry_lost', 'offline'])[1 + session_id % 9], 'silent', now() - interval '1 hour', now() - interval '1 hour', 2, 1, now() - interval '30 days'
FROM nodes;

INSERT INTO status_changes (subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision)
SELECT 'node', 'peer ' || 1 + i % 200, CASE WHEN i % 200 < 100 THEN '0xaa' ELSE '0xbb' END, 'node ' || 1 + i % 200, 'Polkadot', 'late', (ARRAY['online', 'missing', 'offline'])[1 + i % 3], 'silent',
       now() - (40000 - i) * interval '1 minute', now() - (40000 - i) * interval '1 minute', 1
FROM generate_series(1, 40000) i;
INSERT INTO status_changes (subject, peer_id, genesis_hash, name, chain, from_state, to_state, reason, since, changed_at, revision, nodes)
VALUES ('chain', '', '0xaa', NULL, 'Polkadot', 'online', 'telemetry_lost', 'telemetry_lost', now() - interval '1 hour', now() - interval '1 hour', 1, 80),
       ('service', '', '', 'relayer', NULL, 'online', 'missing', 'silent', now() - interval '20 minutes', now() - interval '20 minutes', 1, NULL),
       ('service', '', '', 'relayer', NULL, 'missing', 'online', 'recovered', now() - interval '20 days', now() - interval '20 days', 2, NULL);
INSERT INTO status_outages VALUES ('', now() - interval '70 minutes', now() - interval '65 minutes', 'no_server');

INSERT INTO node_hours (peer_id, genesis_hash, hour, messages, intervals, best_height, finalized_height, lag_sum, lag_count, lag_max, peers_sum, peers_count, peers_min, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, transactions_max, seconds_online, gaps)
SELECT 'peer ' || n, CASE WHEN n <= 100 THEN '0xaa' ELSE '0xbb' END, date_trunc('hour', now()) - h * interval '1 hour', 3600, 1400, 28000000 - h * 600, 27999000 - h * 600, 300, 100, 5, 2500, 100, 20, 100000, 100, 200000, 100, 700, 100, 9, 3600,
       CASE WHEN h % 5 = 0 THEN '{"connection_lost": 1}'::jsonb ELSE '{}' END
FROM generate_series(1, 200, 5) n, generate_series(0, 700) h ORDER BY h DESC;
INSERT INTO software_hours
SELECT c, date_trunc('hour', now()) - h * interval '1 hour', 'parity-polkadot', '1.' || v, false, 10 + v FROM (VALUES ('0xaa'), ('0xbb')) chain (c), generate_series(0, 2) v, generate_series(0, 3000) h;

INSERT INTO chains (genesis_hash, name) VALUES ('0xaa', 'Polkadot'), ('0xbb', 'Kusama');
INSERT INTO block_reporters (peer_id, server_id) SELECT 'peer ' || n, 'server 1' FROM generate_series(1, 200) n;
INSERT INTO blocks (height, first_at, finalized_at, chain_id, first_reporter_id, author_id, nodes, own, broadcast, other, is_final, hash, delays)
SELECT i, now() - (60000 - i) * interval '6 seconds', now() - (60000 - i) * interval '6 seconds' + interval '14 seconds', c.id, r.id + i % 200, r.id + i % 200, 90, 1, 89, 0, f = 0, decode(md5((i + f)::text) || md5(f::text), 'hex'), '{20,30,20,10,5,3,1}'
FROM chains c, generate_series(1, 60000) i JOIN generate_series(0, 1) f ON f = 0 OR i % 50 = 0, (SELECT min(id) AS id FROM block_reporters) r
WHERE c.genesis_hash = '0xaa';
INSERT INTO chain_hours (chain_id, hour, is_stale, blocks, heights, forks, nodes, delays, finalized, finality)
SELECT c.id, date_trunc('hour', now()) - h * interval '1 hour', false, 612, 600, 12, 54000, '{12000,18000,12000,6000,3000,1800,600}', 600, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,100,400,100}' FROM chains c, generate_series(0, 2000) h;
INSERT INTO authorings (peer_id, genesis_hash, session_id, height, prepared_hash, prepared_at, sealed_at, hash)
SELECT 'peer ' || 1 + i % 200, '0xaa', 0, i, decode(md5(i::text), 'hex'), at, at, decode(md5(i::text), 'hex') FROM (SELECT i, now() - (60000 - i) * interval '6 seconds' AS at FROM generate_series(30001, 60000) i) a;

INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, node_delta_us, logs)
SELECT i, now() - i * interval '1 second', 1 + i % 200, k.id, 0, CASE k.msg
    WHEN 'block.import' THEN jsonb_build_object('height', 28000000 - i / 6, 'best', '0xcc', 'origin', 'NetworkBroadcast')
    WHEN 'system.interval' THEN jsonb_build_object('height', 28000000 - i / 6, 'finalized_height', 27999990 - i / 6, 'peers', 25, 'txcount', 7, 'bandwidth_download', 1000, 'bandwidth_upload', 2000)
    ELSE '{}' END
FROM generate_series(1, 90000) i JOIN message_kinds k ON k.msg = CASE i / 200 % 3 WHEN 0 THEN 'block.import' WHEN 1 THEN 'system.interval' ELSE 'txpool.import' END;

INSERT INTO span_hours (peer_id, genesis_hash, session_id, hour, target, name, count, total_ns, min_ns, max_ns, buckets, counts)
SELECT 'peer ' || n, '0xaa', 0, date_trunc('hour', now()) - h * interval '1 hour', 'pallet_' || t, 'on_initialize', 100, 100000000, 1000, 9000000, '{200,300}', '{90,10}'
FROM generate_series(1, 10) n, generate_series(0, 4) t, generate_series(0, 1000) h;
INSERT INTO host_systems (description, os, cpu_qty, cpu_clock, ram_mb, disk_info) VALUES ('bench-1', 'linux', 16, 3000, 65536, 'NVMe');
INSERT INTO benchmarks (ts_start, ts_end, description, host_system_id) SELECT now() - i * interval '1 hour', now() - i * interval '1 hour' + interval '20 minutes', 'run ' || i, (SELECT max(id) FROM host_systems) FROM generate_series(1, 100) i;
INSERT INTO benchmark_events (benchmark_id, name, phase, created_at) SELECT b.id, 'transfer', p, b.ts_start + interval '1 minute' FROM benchmarks b, (VALUES ('start'), ('end')) phase (p);

SELECT make_events_day(now() - d * interval '1 day') FROM generate_series(0, 14) d;
INSERT INTO events (id, event_id, source, peer_id, genesis_hash, chain, name, severity, "time", received_at, message_id, data, audit)
SELECT i, md5(i::text), CASE WHEN i % 2 = 0 THEN 'relayer' ELSE 'peer ' || 1 + i % 200 END, NULL, NULL, NULL, 'name ' || i % 50, (ARRAY['info', 'warn', 'error'])[1 + i % 3], at, at, i, '{"_e": 1}', i % 10 = 0
FROM (SELECT i, now() - (40000 - i) * interval '30 seconds' AS at FROM generate_series(1, 40000) i) e;
INSERT INTO job_hours (hour, service_id, job_id, started, finished, failed, errors, duration_buckets, duration_counts, duration_min_ms, duration_max_ms, last_at, failed_at)
SELECT date_trunc('hour', now()) - h * interval '1 hour', s, 'job ' || j, 60, 57, 2, '{"timeout": 2}', '{400,500}', '{50,7}', 1, 900, now() - h * interval '1 hour', now() - h * interval '1 hour'
FROM (VALUES ('relayer'), ('bridge')) service (s), generate_series(0, 3) j, generate_series(0, 2000) h;
INSERT INTO services (service, interval_s, jitter_s, first_seen_at, last_seen_at, is_down, metrics, state, since)
SELECT s, 60, 5, now() - interval '30 days', now(), false, '{"queue": 7}', 'online', now() - interval '20 minutes' FROM (VALUES ('relayer'), ('bridge')) service (s);
INSERT INTO service_heartbeats SELECT s, now() - i * interval '1 minute', false, '{}' FROM (VALUES ('relayer'), ('bridge')) service (s), generate_series(0, 30000) i;

INSERT INTO alerts (rule, key, severity, subject, genesis_hash, name, chain, summary, began_at, fired_at, resolved_at, flaps, delivered)
SELECT 'node_missing', 'peer ' || i, (ARRAY['critical', 'warning', 'info'])[1 + i % 3], 'node', '0xaa', 'node ' || i, 'Polkadot', 'node ' || i || ' is missing', now() - i * interval '1 hour', now() - i * interval '1 hour', CASE WHEN i > 5 THEN now() - i * interval '30 minutes' END, 0, true
FROM generate_series(1, 5000) i;
INSERT INTO event_transports (name, cursor_id, sent, failed, dead, dropped, pending, pending_bytes, updated_at) VALUES ('webhook', 1, 100, 2, 0, 0, 7, 700, now());
INSERT INTO servers (id, version, started_at, heartbeat_at, name, sessions, messages_per_s) VALUES ('server 1', '1.0.0', now() - interval '1 day', now(), 'host-1', 200, 300);
INSERT INTO leases (name, holder, token, acquired_at, expires_at) VALUES ('retention', 'server 1', 1, now() - interval '1 day', now() + interval '3 seconds');
INSERT INTO server_losses SELECT 'server 1', date_trunc('hour', now()) - h * interval '1 hour', 'queue_full', 3 FROM generate_series(0, 500) h;
ANALYZE;
