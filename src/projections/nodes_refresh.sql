-- Does: enters what follows from the sessions of some nodes.
-- Params: $1 peer ids, $2 genesis hashes of the same nodes, empty where unknown.
-- Index: peer_connections_peer_idx, both ways.
-- Cost: at most 101 sessions for each node.
-- Order: by node.
INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, disconnect_reason, server_id, conflict_since)
SELECT k.peer_id, k.genesis_hash, latest.name, latest.chain, latest.id, latest.created_at, first.id, first.created_at, recent.last_seen_at, recent.online,
       CASE WHEN recent.online THEN recent.online_since ELSE recent.offline_since END,
       CASE WHEN NOT recent.online THEN recent.disconnect_reason END,
       latest.server_id, conflict.since
FROM unnest($1::text[], $2::text[]) AS k (peer_id, genesis_hash)
CROSS JOIN LATERAL (
    SELECT p.id, p.created_at, p.name, p.chain, p.server_id FROM peer_connections p
    WHERE p.peer_id = k.peer_id AND coalesce(p.genesis_hash, '') = k.genesis_hash
    ORDER BY p.peer_id, p.created_at DESC, p.id DESC LIMIT 1
) latest
CROSS JOIN LATERAL (
    SELECT p.id, p.created_at FROM peer_connections p
    WHERE p.peer_id = k.peer_id AND coalesce(p.genesis_hash, '') = k.genesis_hash
    ORDER BY p.peer_id DESC, p.created_at, p.id LIMIT 1
) first
CROSS JOIN LATERAL (
    SELECT max(s.last_seen_at) AS last_seen_at, bool_or(s.disconnected_at IS NULL) AS online,
           min(s.created_at) FILTER (WHERE s.disconnected_at IS NULL) AS online_since,
           max(s.disconnected_at) AS offline_since,
           (array_agg(s.disconnect_reason ORDER BY s.disconnected_at DESC, s.id DESC))[1] AS disconnect_reason,
           array_agg(s.id) FILTER (WHERE s.disconnected_at IS NULL) AS open
    FROM (
        SELECT p.id, p.created_at, p.last_seen_at, p.disconnected_at, p.disconnect_reason FROM peer_connections p
        WHERE p.peer_id = k.peer_id AND coalesce(p.genesis_hash, '') = k.genesis_hash
        ORDER BY p.peer_id, p.created_at DESC, p.id DESC LIMIT 100
    ) s
) recent
-- Two processes, each of which said something after the other one had come: the older one
-- is no connection that was left behind.
CROSS JOIN LATERAL (
    SELECT min(greatest(one.created_at, other.created_at)) AS since
    FROM peer_connections one JOIN peer_connections other ON other.id = ANY(recent.open)
    WHERE cardinality(recent.open) > 1 AND one.id = ANY(recent.open) AND one.id < other.id
      AND one.startup_time IS DISTINCT FROM other.startup_time
      AND one.last_seen_at > other.created_at + interval '10 seconds'
      AND other.last_seen_at > one.created_at + interval '10 seconds'
) conflict
ON CONFLICT (peer_id, genesis_hash) DO UPDATE SET
    name = excluded.name,
    chain = excluded.chain,
    session_id = excluded.session_id,
    session_at = excluded.session_at,
    first_session_id = excluded.first_session_id,
    first_seen_at = excluded.first_seen_at,
    last_seen_at = greatest(nodes.last_seen_at, excluded.last_seen_at),
    online = excluded.online,
    since = excluded.since,
    disconnect_reason = excluded.disconnect_reason,
    server_id = excluded.server_id,
    conflict_since = excluded.conflict_since
