-- Fills a table with a day of messages of many nodes, each node with a session of its own, as
-- nodes of all ages would have sent them: one message in twenty has a target, one in two hundred
-- reports the reputation of 25 peers.
--
-- Variables of psql: table; day_start, day_end (timestamptz); rows (at most 1,048,576: one block of
-- ids); nodes.
SELECT nextval('telemetry_messages_id_seq') AS first_id, nextval('peer_connections_id_seq') AS first_session \gset

CREATE TEMPORARY TABLE peers AS
SELECT node, '12D3KooW' || lpad(translate(node::text, '0', 'z'), 44, 'z') AS peer_id
FROM generate_series(0, :nodes - 1) AS node;

INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, name, chain, version, authority, startup_time,
    implementation, node_id, connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason)
SELECT :first_session + node, '10.0.' || node / 250 || '.' || node % 250, peer_id, :'day_start', 'bench-' || node, 'Bench',
    '3.0.0', node % 10 = 0, 1795248624569, 'Substrate Node', 1, :first_session + node, 'bench', '0x' || md5('a') || md5('b'),
    :'day_end', :'day_end', 'closed'
FROM peers;

-- One seeding at a time adds what is missing.
BEGIN;
LOCK TABLE message_kinds IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO message_kinds (id, msg)
SELECT (SELECT max(id) FROM message_kinds) + row_number() OVER (), msg
FROM unnest(ARRAY['system.interval', 'block.import', 'notify.finalized', 'txpool.import', 'afg.received_prevote',
    'tracing.profiling', 'system.network_state']) AS msg
WHERE msg NOT IN (SELECT msg FROM message_kinds);
COMMIT;

INSERT INTO :table (id, created_at, peer_connection_id, kind_id, target, logs)
SELECT :first_id + i,
    :'day_start'::timestamptz + i * ((:'day_end'::timestamptz - :'day_start'::timestamptz) / :rows),
    :first_session + i % :nodes,
    kinds.id,
    CASE slot WHEN 19 THEN 'pallet_' || (ARRAY['babe', 'balances', 'staking', 'session'])[1 + i / :nodes / 20 % 4] END,
    CASE
        WHEN slot < 5 THEN format('{"best":"0x%s","finalized_hash":"0x%s","finalized_height":%s,"height":%s,"txcount":%s,"used_state_cache_size":53345960}', hash, hash, height - 2, height, i % 50)
        WHEN slot < 10 THEN format('{"bandwidth_download":%s,"bandwidth_upload":%s,"peers":%s}', i % 3000000, i % 1500000, i % 40)
        WHEN slot < 13 THEN format('{"best":"0x%s","height":%s,"origin":"NetworkBroadcast"}', hash, height)
        WHEN slot < 15 THEN format('{"best":"0x%s","height":"%s"}', hash, height)
        WHEN slot < 18 THEN format('{"future":%s,"ready":%s}', i % 7, i % 90)
        WHEN slot = 18 THEN format('{"target_hash":"0x%s","target_number":"%s","voter":"\"5tPt3cGbd8GCcMUExGCTAnGhq8rtb41iGex1eyf4AXnL3KKd\""}', hash, height)
        WHEN slot = 19 THEN format('{"id":%s,"name":"on_initialize","parent_id":1,"target":"pallet_%s","time":"%s","values":{"block":%s}}', i, (ARRAY['babe', 'balances', 'staking', 'session'])[1 + i / :nodes / 20 % 4], i % 900000, height)
        ELSE format('{"state":{"peerId":"%s","peerset":{"nodes":%s}}}', (SELECT peer_id FROM peers WHERE node = i % :nodes), (
            SELECT jsonb_object_agg(peer_id, jsonb_build_object('connected', node % 3 > 0, 'reputation', (i + node) % 2000 - 1000))
            FROM generate_series(1, 25) AS peer JOIN peers ON node = (i * 7 + peer * 37) % :nodes))
    END::jsonb
FROM generate_series(0, :rows - 1) AS i
CROSS JOIN LATERAL (
    SELECT CASE WHEN (i / :nodes + i % :nodes) % 200 = 7 THEN 20 ELSE (i / :nodes + i % :nodes * 3) % 20 END AS slot,
        md5(i::text) || md5((-i)::text) AS hash, 20000000 + i / 12000 AS height
) AS turn
JOIN (VALUES (0, 4, 'system.interval'), (5, 9, 'system.interval'), (10, 12, 'block.import'), (13, 14, 'notify.finalized'),
    (15, 17, 'txpool.import'), (18, 18, 'afg.received_prevote'), (19, 19, 'tracing.profiling'), (20, 20, 'system.network_state')
) AS slots (first, last, msg) ON slot BETWEEN first AND last
JOIN message_kinds AS kinds USING (msg);
