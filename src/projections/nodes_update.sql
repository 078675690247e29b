-- Does: enters values that nodes reported, where they are later than those known.
-- Params: $1 JSON array of objects with columns of nodes, and seen_at.
-- Index: nodes_pkey.
-- Cost: one row for each node.
-- Order: none; one server writes at a time.
UPDATE nodes n SET
    last_seen_at = greatest(n.last_seen_at, v.seen_at),
    (best_height, best_hash, best_at, best_session_at) = (
        SELECT b.* FROM (VALUES (n.best_height, n.best_hash, n.best_at, n.best_session_at), (v.best_height, v.best_hash, v.best_at, v.best_session_at)) AS b (height, hash, at, session_at)
        ORDER BY b.session_at DESC NULLS LAST, b.height DESC, b.at LIMIT 1),
    (finalized_height, finalized_hash, finalized_at, finalized_session_at) = (
        SELECT b.* FROM (VALUES (n.finalized_height, n.finalized_hash, n.finalized_at, n.finalized_session_at), (v.finalized_height, v.finalized_hash, v.finalized_at, v.finalized_session_at)) AS b (height, hash, at, session_at)
        ORDER BY b.session_at DESC NULLS LAST, b.height DESC, b.at LIMIT 1),
    (peers, download_bytes_per_s, upload_bytes_per_s, network_at, network_message) = (
        SELECT l.* FROM (VALUES (n.peers, n.download_bytes_per_s, n.upload_bytes_per_s, n.network_at, n.network_message), (v.peers, v.download_bytes_per_s, v.upload_bytes_per_s, v.network_at, v.network_message)) AS l (peers, download, upload, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (transactions, state_cache_bytes, pool_at, pool_message) = (
        SELECT l.* FROM (VALUES (n.transactions, n.state_cache_bytes, n.pool_at, n.pool_message), (v.transactions, v.state_cache_bytes, v.pool_at, v.pool_message)) AS l (transactions, cache, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1)
FROM json_to_recordset($1::json) AS v (
    peer_id text, genesis_hash text, seen_at timestamptz,
    best_height bigint, best_hash text, best_at timestamptz, best_session_at timestamptz,
    finalized_height bigint, finalized_hash text, finalized_at timestamptz, finalized_session_at timestamptz,
    peers bigint, download_bytes_per_s double precision, upload_bytes_per_s double precision, network_at timestamptz, network_message bigint,
    transactions bigint, state_cache_bytes double precision, pool_at timestamptz, pool_message bigint)
WHERE n.peer_id = v.peer_id AND n.genesis_hash = v.genesis_hash
