-- Does: finds the latest session of each peer, with what the node said last.
-- Params: $1 peer after which the page begins, $2 peers.
-- Index: peer_connections_peer_idx, jumping from one peer to the next; for each
--   telemetry_messages_session_idx, backwards from its last sign of life.
-- Cost: at most 64 messages for each peer.
-- Order: by peer, so that a page continues the one before.
WITH RECURSIVE latest AS (
    (
        SELECT * FROM peer_connections
        WHERE peer_id > $1
        ORDER BY peer_id, created_at DESC, id DESC
        LIMIT 1
    )
    UNION ALL
    SELECT following.*
    FROM latest
    CROSS JOIN LATERAL (
        SELECT * FROM peer_connections p
        WHERE p.peer_id > latest.peer_id
        ORDER BY p.peer_id, p.created_at DESC, p.id DESC
        LIMIT 1
    ) following
),
page AS (
    SELECT * FROM latest LIMIT $2
)
SELECT row_to_json(page)::text AS session, said.*
FROM page
LEFT JOIN LATERAL (
    SELECT
        (array_agg(telemetry_integer(logs, 'height') ORDER BY telemetry_integer(logs, 'height') DESC, created_at) FILTER (WHERE is_best))[1] AS height,
        (array_agg(logs ->> 'best' ORDER BY telemetry_integer(logs, 'height') DESC, created_at) FILTER (WHERE is_best))[1] AS best_hash,
        (array_agg(created_at ORDER BY telemetry_integer(logs, 'height') DESC, created_at) FILTER (WHERE is_best))[1] AS best_at,
        (array_agg(finalized_height ORDER BY finalized_height DESC, created_at) FILTER (WHERE finalized_height IS NOT NULL))[1] AS finalized_height,
        (array_agg(finalized_hash ORDER BY finalized_height DESC, created_at) FILTER (WHERE finalized_height IS NOT NULL))[1] AS finalized_hash,
        (array_agg(created_at ORDER BY finalized_height DESC, created_at) FILTER (WHERE finalized_height IS NOT NULL))[1] AS finalized_at,
        (array_agg(telemetry_integer(logs, 'peers') ORDER BY created_at DESC) FILTER (WHERE msg = 'system.interval' AND logs ? 'peers'))[1] AS peers,
        (array_agg(telemetry_integer(logs, 'txcount') ORDER BY created_at DESC) FILTER (WHERE msg = 'system.interval' AND logs ? 'txcount'))[1] AS transactions,
        (array_agg(telemetry_number(logs, 'bandwidth_download') ORDER BY created_at DESC) FILTER (WHERE msg = 'system.interval' AND logs ? 'bandwidth_download'))[1]::float8 AS download_bytes_per_s,
        (array_agg(telemetry_number(logs, 'bandwidth_upload') ORDER BY created_at DESC) FILTER (WHERE msg = 'system.interval' AND logs ? 'bandwidth_upload'))[1]::float8 AS upload_bytes_per_s,
        (array_agg(telemetry_number(logs, 'used_state_cache_size') ORDER BY created_at DESC) FILTER (WHERE msg = 'system.interval' AND logs ? 'used_state_cache_size'))[1]::float8 AS state_cache_bytes
    FROM (
        SELECT created_at, msg, logs,
               msg IN ('block.import', 'system.interval') AND telemetry_integer(logs, 'height') IS NOT NULL AS is_best,
               CASE msg WHEN 'notify.finalized' THEN telemetry_integer(logs, 'height') WHEN 'system.interval' THEN telemetry_integer(logs, 'finalized_height') END AS finalized_height,
               CASE msg WHEN 'notify.finalized' THEN logs ->> 'best' ELSE logs ->> 'finalized_hash' END AS finalized_hash
        FROM telemetry_logs
        WHERE peer_connection_id = page.id
          AND created_at >= page.last_seen_at - interval '15 minutes'
          AND created_at <= page.last_seen_at + interval '15 minutes'
        ORDER BY created_at DESC
        LIMIT 64
    ) recent
) said ON true
ORDER BY page.peer_id
