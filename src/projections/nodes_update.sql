-- Does: enters values that nodes reported, where they are later than those known.
-- Params: $1 to $20 columns of nodes as arrays, in the order of `v`.
-- Index: nodes_pkey.
-- Cost: one row for each node, about 10 us.
-- Order: none; one server writes at a time.
UPDATE nodes n SET
    last_seen_at = greatest(n.last_seen_at, v.seen_at),
    -- A block of a later session, then a higher one, then the one that arrived first.
    best_height = CASE WHEN n.best_at IS NULL OR (coalesce(v.best_session_at, '-infinity'), v.best_height, n.best_at) > (coalesce(n.best_session_at, '-infinity'), n.best_height, v.best_at) THEN v.best_height ELSE n.best_height END,
    best_hash = CASE WHEN n.best_at IS NULL OR (coalesce(v.best_session_at, '-infinity'), v.best_height, n.best_at) > (coalesce(n.best_session_at, '-infinity'), n.best_height, v.best_at) THEN v.best_hash ELSE n.best_hash END,
    best_at = CASE WHEN n.best_at IS NULL OR (coalesce(v.best_session_at, '-infinity'), v.best_height, n.best_at) > (coalesce(n.best_session_at, '-infinity'), n.best_height, v.best_at) THEN v.best_at ELSE n.best_at END,
    best_session_at = CASE WHEN n.best_at IS NULL OR (coalesce(v.best_session_at, '-infinity'), v.best_height, n.best_at) > (coalesce(n.best_session_at, '-infinity'), n.best_height, v.best_at) THEN v.best_session_at ELSE n.best_session_at END,
    finalized_height = CASE WHEN n.finalized_at IS NULL OR (coalesce(v.finalized_session_at, '-infinity'), v.finalized_height, n.finalized_at) > (coalesce(n.finalized_session_at, '-infinity'), n.finalized_height, v.finalized_at) THEN v.finalized_height ELSE n.finalized_height END,
    finalized_hash = CASE WHEN n.finalized_at IS NULL OR (coalesce(v.finalized_session_at, '-infinity'), v.finalized_height, n.finalized_at) > (coalesce(n.finalized_session_at, '-infinity'), n.finalized_height, v.finalized_at) THEN v.finalized_hash ELSE n.finalized_hash END,
    finalized_at = CASE WHEN n.finalized_at IS NULL OR (coalesce(v.finalized_session_at, '-infinity'), v.finalized_height, n.finalized_at) > (coalesce(n.finalized_session_at, '-infinity'), n.finalized_height, v.finalized_at) THEN v.finalized_at ELSE n.finalized_at END,
    finalized_session_at = CASE WHEN n.finalized_at IS NULL OR (coalesce(v.finalized_session_at, '-infinity'), v.finalized_height, n.finalized_at) > (coalesce(n.finalized_session_at, '-infinity'), n.finalized_height, v.finalized_at) THEN v.finalized_session_at ELSE n.finalized_session_at END,
    peers = CASE WHEN n.network_at IS NULL OR (v.network_at, v.network_message) > (n.network_at, n.network_message) THEN v.peers ELSE n.peers END,
    download_bytes_per_s = CASE WHEN n.network_at IS NULL OR (v.network_at, v.network_message) > (n.network_at, n.network_message) THEN v.download_bytes_per_s ELSE n.download_bytes_per_s END,
    upload_bytes_per_s = CASE WHEN n.network_at IS NULL OR (v.network_at, v.network_message) > (n.network_at, n.network_message) THEN v.upload_bytes_per_s ELSE n.upload_bytes_per_s END,
    network_at = CASE WHEN n.network_at IS NULL OR (v.network_at, v.network_message) > (n.network_at, n.network_message) THEN v.network_at ELSE n.network_at END,
    network_message = CASE WHEN n.network_at IS NULL OR (v.network_at, v.network_message) > (n.network_at, n.network_message) THEN v.network_message ELSE n.network_message END,
    transactions = CASE WHEN n.pool_at IS NULL OR (v.pool_at, v.pool_message) > (n.pool_at, n.pool_message) THEN v.transactions ELSE n.transactions END,
    state_cache_bytes = CASE WHEN n.pool_at IS NULL OR (v.pool_at, v.pool_message) > (n.pool_at, n.pool_message) THEN v.state_cache_bytes ELSE n.state_cache_bytes END,
    pool_at = CASE WHEN n.pool_at IS NULL OR (v.pool_at, v.pool_message) > (n.pool_at, n.pool_message) THEN v.pool_at ELSE n.pool_at END,
    pool_message = CASE WHEN n.pool_at IS NULL OR (v.pool_at, v.pool_message) > (n.pool_at, n.pool_message) THEN v.pool_message ELSE n.pool_message END
FROM unnest(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
) AS v (
    peer_id, genesis_hash, seen_at, best_height, best_hash, best_at, best_session_at,
    finalized_height, finalized_hash, finalized_at, finalized_session_at, peers,
    download_bytes_per_s, upload_bytes_per_s, network_at, network_message, transactions,
    state_cache_bytes, pool_at, pool_message
)
WHERE n.peer_id = v.peer_id AND n.genesis_hash = v.genesis_hash
