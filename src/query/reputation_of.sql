-- Does: takes the newest report (system.network_state) of each reporting peer,
--   with what it says of one peer; reports that do not know the peer are left out.
-- Params: $1 peer, $2 start and $3 end (not part of it), $4 rows.
-- Index: telemetry_messages_kind_idx and telemetry_messages_audit_kind_idx.
-- Cost: the reports in the range, without their JSON; that is unpacked for the newest only.
-- Order: newest report first; a reporting peer appears once.
SELECT said.reporting_peer,
       telemetry_integer(said.opinion, 'reputation') AS reputation,
       said.opinion -> 'connected' = 'true'::jsonb AS connected,
       said.ts
FROM (
    SELECT newest.peer_id AS reporting_peer,
           newest.logs #> ARRAY['state', 'peerset', 'nodes', $1] AS opinion,
           newest.created_at AS ts
    FROM (
        SELECT DISTINCT ON (p.peer_id) p.peer_id, l.created_at, l.logs
        FROM telemetry_logs l
        JOIN peer_connections p ON p.id = l.peer_connection_id
        WHERE l.msg = 'system.network_state'
          AND l.created_at >= $2 AND l.created_at < $3
          AND p.peer_id IS NOT NULL
        ORDER BY p.peer_id, l.created_at DESC, l.id DESC
    ) newest
    OFFSET 0
) said
WHERE said.opinion IS NOT NULL
ORDER BY said.ts DESC, said.reporting_peer
LIMIT $4
