-- Does: finds what is wrong with nodes, and with the servers of this program.
-- Params: $1 seconds of silence in a session at which an authority is at risk, or 0, $2 seconds
--   of a session, $3 rows.
-- Index: node_status_watched_idx, node_status_offline_idx, nodes_pkey, peer_connections_pkey.
-- Cost: the nodes that something is wrong with.
-- Order: none.
WITH troubled AS (
    SELECT s.peer_id, s.genesis_hash, s.state, s.since, s.changed_at
    FROM node_status s
    WHERE s.state <> 'offline' AND s.state IN ('late', 'missing', 'stalled', 'lagging', 'conflict')
    UNION ALL
    SELECT s.peer_id, s.genesis_hash, s.state, s.since, s.changed_at
    FROM node_status s
    WHERE s.state = 'offline' AND s.changed_at > now() - interval '7 days'
    -- Where there are more, the same ones each time: alerts that are open stay so.
    ORDER BY changed_at, peer_id, genesis_hash
    LIMIT $3
), named AS (
    SELECT t.*, n.name, n.chain, coalesce(p.authority, false) AS authority
    FROM troubled t
    JOIN nodes n ON n.peer_id = t.peer_id AND n.genesis_hash = t.genesis_hash
    LEFT JOIN peer_connections p ON p.id = n.session_id
)
SELECT f.rule, n.peer_id || '/' || n.genesis_hash AS key, 'node' AS subject, n.peer_id, nullif(n.genesis_hash, '') AS genesis_hash,
       n.name, n.chain, NULL AS server_id, n.authority, f.summary, n.since AS since, n.changed_at AS held_since
FROM named n
CROSS JOIN LATERAL (
    SELECT 'node_' || n.state, CASE n.state
        WHEN 'late' THEN 'missed a heartbeat' WHEN 'offline' THEN 'is offline' WHEN 'stalled' THEN 'imports no block while its chain does'
        WHEN 'lagging' THEN 'is behind its chain in finality' WHEN 'conflict' THEN 'is two processes with one peer id' END
    WHERE n.state <> 'missing' AND NOT (n.state = 'offline' AND n.authority)
    UNION ALL
    -- It stays missing while it is offline.
    SELECT CASE WHEN n.authority THEN 'validator_missing' ELSE 'node_missing' END, 'is silent'
    WHERE n.state IN ('missing', 'offline')
    UNION ALL
    SELECT 'slash_risk', 'was silent for ' || round(u.down_s) || ' of the last ' || round($2) || ' s'
    FROM node_uptime(n.peer_id, n.genesis_hash, now() - make_interval(secs => $2), now()) u
    WHERE n.authority AND n.state IN ('missing', 'offline') AND $1 > 0 AND u.down_s >= $1
) f (rule, summary)
UNION ALL
SELECT f.rule, s.id, 'server', NULL, NULL, coalesce(s.name, s.id), NULL, s.id, false, f.summary, f.since,
       -- After an outage of the database servers come back within seconds: it counts from when it is seen.
       NULL
FROM servers s
CROSS JOIN LATERAL (
    SELECT 'server_lost', 'sends no heartbeat', s.heartbeat_at
    WHERE s.heartbeat_interval_s IS NOT NULL AND s.heartbeat_at < now() - interval '5 seconds' AND s.heartbeat_at > now() - interval '7 days'
    UNION ALL
    SELECT 'messages_lost', 'lost ' || s.messages_dropped || ' messages since its start', s.dropped_at
    WHERE s.dropped_at > now() - interval '10 minutes'
    UNION ALL
    SELECT 'spool_filling', 'has used ' || 100 * s.spool_bytes / s.spool_bytes_max || ' % of its spool', NULL
    WHERE s.spool_bytes_max > 0 AND s.spool_bytes > s.spool_bytes_max / 2
    UNION ALL
    SELECT 'disk_filling', 'has a disk that is full in ' || round(s.disk_full_in_days) || ' days', NULL
    WHERE s.disk_full_in_days < 30
) f (rule, summary, since)
WHERE s.stopped_at IS NULL
