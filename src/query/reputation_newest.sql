-- Does: takes the newest report (system.network_state) of each reporting peer,
--   with what it says of all peers.
-- Params: $1 start and $2 end (not part of it), $3 whether only peers count that
--   report to this server themselves, $4 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the reports in the range, without their JSON; that is unpacked for the newest only.
-- Order: newest report first; a reporting peer appears once. Peers within a report by name.
SELECT newest.peer_id AS reporting_peer,
       coalesce(peers.remote_peer, '{}') AS remote_peer,
       coalesce(peers.reputation, '{}') AS reputation,
       coalesce(peers.connected, '{}') AS connected,
       newest.created_at AS ts
FROM (
    SELECT * FROM (
        SELECT DISTINCT ON (p.peer_id) p.peer_id, l.created_at, l.logs
        FROM telemetry_logs l
        JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE l.msg = 'system.network_state'
          AND l.created_at >= $1 AND l.created_at < $2
          AND p.peer_id IS NOT NULL
        ORDER BY p.peer_id, l.created_at DESC, l.id DESC
    ) each_peer
    ORDER BY created_at DESC, peer_id
    LIMIT $4
) newest
CROSS JOIN LATERAL (
    SELECT array_agg(peer.key ORDER BY peer.key) AS remote_peer,
           array_agg(telemetry_integer(peer.value, 'reputation') ORDER BY peer.key) AS reputation,
           array_agg(peer.value -> 'connected' = 'true'::jsonb ORDER BY peer.key) AS connected
    FROM (SELECT newest.logs #> '{state,peerset,nodes}' AS nodes) report
    CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(report.nodes) WHEN 'object' THEN report.nodes END) peer
    WHERE NOT $3 OR EXISTS (SELECT FROM peer_connections known WHERE known.peer_id = peer.key)
) peers
ORDER BY newest.created_at DESC, newest.peer_id
