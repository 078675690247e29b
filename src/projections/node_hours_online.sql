-- Does: enters for how long nodes were online in some hours, and which of their
--   sessions ended in them.
-- Params: $1 peer ids, $2 genesis hashes, empty where unknown, $3 hours,
--   $4 time before which known hours are kept as they are, or none.
-- Index: peer_connections_peer_idx.
-- Cost: at most 1,000 sessions for each hour.
-- Order: by key, as it comes.
INSERT INTO node_hours AS n (peer_id, genesis_hash, hour, messages, intervals, lag_sum, lag_count, peers_sum, peers_count, download_sum, download_count, upload_sum, upload_count, transactions_sum, transactions_count, seconds_online, gaps)
SELECT k.peer_id, k.genesis_hash, k.hour, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, online.seconds,
       CASE WHEN sessions.reasons IS NULL THEN '{}'
            ELSE (SELECT jsonb_object_agg(reason, ends) FROM (SELECT reason, count(*) AS ends FROM unnest(sessions.reasons) AS reason GROUP BY reason) AS ended) END
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS k (peer_id, genesis_hash, hour)
CROSS JOIN LATERAL (
    SELECT array_agg(s.disconnect_reason) FILTER (WHERE s.disconnected_at >= k.hour AND s.disconnected_at < k.hour + interval '1 hour') AS reasons,
           range_agg(tstzrange(greatest(s.created_at, k.hour), greatest(least(coalesce(s.disconnected_at, s.last_seen_at), k.hour + interval '1 hour'), s.created_at, k.hour))) AS spans
    FROM (
        SELECT p.id, p.created_at, p.last_seen_at, p.disconnected_at, p.disconnect_reason FROM peer_connections p
        WHERE p.peer_id = k.peer_id AND p.created_at < k.hour + interval '1 hour'
          AND coalesce(p.genesis_hash, '') = k.genesis_hash
          AND coalesce(p.disconnected_at, p.last_seen_at) >= k.hour
        ORDER BY p.created_at DESC, p.id DESC LIMIT 1000
    ) s
) sessions
CROSS JOIN LATERAL (
    SELECT coalesce(sum(extract(epoch FROM upper(span) - lower(span))), 0)::bigint AS seconds FROM unnest(sessions.spans) AS span
) online
WHERE sessions.spans IS NOT NULL
ON CONFLICT (peer_id, genesis_hash, hour) DO UPDATE SET
    -- Sessions outlive their end by three hours at least (retention/policy.rs); those of
    -- earlier hours may be purged, so what is known of these only grows.
    seconds_online = CASE WHEN n.hour < now() - interval '3 hours' THEN greatest(n.seconds_online, excluded.seconds_online) ELSE excluded.seconds_online END,
    gaps = CASE WHEN n.hour < now() - interval '3 hours' THEN (
        SELECT coalesce(jsonb_object_agg(reason, ends), '{}')
        FROM (
            SELECT reason, max(ends::bigint) AS ends
            FROM (SELECT * FROM jsonb_each_text(coalesce(n.gaps, '{}')) UNION ALL SELECT * FROM jsonb_each_text(excluded.gaps)) AS both_of (reason, ends)
            GROUP BY reason
        ) AS known)
        ELSE excluded.gaps END
WHERE $4::timestamptz IS NULL OR n.hour >= $4
