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
-- Arrays side by side in the list of columns: in FROM each of them would be copied first.
FROM (
    SELECT
        unnest($1) AS peer_id, unnest($2) AS genesis_hash, unnest($3) AS seen_at,
        unnest($4) AS best_height, unnest($5) AS best_hash, unnest($6) AS best_at,
        unnest($7) AS best_session_at, unnest($8) AS finalized_height,
        unnest($9) AS finalized_hash, unnest($10) AS finalized_at,
        unnest($11) AS finalized_session_at, unnest($12) AS peers,
        unnest($13) AS download_bytes_per_s, unnest($14) AS upload_bytes_per_s,
        unnest($15) AS network_at, unnest($16) AS network_message, unnest($17) AS transactions,
        unnest($18) AS state_cache_bytes, unnest($19) AS pool_at, unnest($20) AS pool_message
) AS v
WHERE n.peer_id = v.peer_id AND n.genesis_hash = v.genesis_hash
