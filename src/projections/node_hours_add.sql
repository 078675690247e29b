-- Does: adds what was reported to the hours of nodes.
-- Params: $1 to $44 columns of node_hours as arrays, in the order of the first list.
-- Index: node_hours_pkey.
-- Cost: one row for each hour of a node, about 10 us.
-- Order: by key, so that two transactions never wait for each other in a circle.
INSERT INTO node_hours AS n (
    peer_id, genesis_hash, hour, messages, intervals, best_height, best_at, best_message,
    finalized_height, finalized_at, finalized_message, peers, download_bytes_per_s,
    upload_bytes_per_s, network_at, network_message, transactions, state_cache_bytes, pool_at,
    pool_message, ready, future, txpool_at, txpool_message, lag_min, lag_sum, lag_count, lag_max,
    peers_min, peers_sum, peers_count, peers_max, download_min, download_sum, download_count,
    download_max, upload_min, upload_sum, upload_count, upload_max, transactions_min,
    transactions_sum, transactions_count, transactions_max
)
-- Arrays side by side in the list of columns: in FROM each of them would be copied first.
SELECT *
FROM (
    SELECT
        unnest($1) AS peer_id, unnest($2) AS genesis_hash, unnest($3) AS hour,
        unnest($4) AS messages, unnest($5) AS intervals, unnest($6) AS best_height,
        unnest($7) AS best_at, unnest($8) AS best_message, unnest($9) AS finalized_height,
        unnest($10) AS finalized_at, unnest($11) AS finalized_message, unnest($12) AS peers,
        unnest($13) AS download_bytes_per_s, unnest($14) AS upload_bytes_per_s,
        unnest($15) AS network_at, unnest($16) AS network_message, unnest($17) AS transactions,
        unnest($18) AS state_cache_bytes, unnest($19) AS pool_at, unnest($20) AS pool_message,
        unnest($21) AS ready, unnest($22) AS future, unnest($23) AS txpool_at,
        unnest($24) AS txpool_message, unnest($25) AS lag_min, unnest($26) AS lag_sum,
        unnest($27) AS lag_count, unnest($28) AS lag_max, unnest($29) AS peers_min,
        unnest($30) AS peers_sum, unnest($31) AS peers_count, unnest($32) AS peers_max,
        unnest($33) AS download_min, unnest($34) AS download_sum, unnest($35) AS download_count,
        unnest($36) AS download_max, unnest($37) AS upload_min, unnest($38) AS upload_sum,
        unnest($39) AS upload_count, unnest($40) AS upload_max, unnest($41) AS transactions_min,
        unnest($42) AS transactions_sum, unnest($43) AS transactions_count,
        unnest($44) AS transactions_max
) AS v
ORDER BY peer_id, genesis_hash, hour
ON CONFLICT (peer_id, genesis_hash, hour) DO UPDATE SET
    messages = n.messages + excluded.messages,
    intervals = n.intervals + excluded.intervals,
    best_height = CASE WHEN n.best_at IS NULL OR (excluded.best_at, excluded.best_message) > (n.best_at, n.best_message) THEN excluded.best_height ELSE n.best_height END,
    best_at = CASE WHEN n.best_at IS NULL OR (excluded.best_at, excluded.best_message) > (n.best_at, n.best_message) THEN excluded.best_at ELSE n.best_at END,
    best_message = CASE WHEN n.best_at IS NULL OR (excluded.best_at, excluded.best_message) > (n.best_at, n.best_message) THEN excluded.best_message ELSE n.best_message END,
    finalized_height = CASE WHEN n.finalized_at IS NULL OR (excluded.finalized_at, excluded.finalized_message) > (n.finalized_at, n.finalized_message) THEN excluded.finalized_height ELSE n.finalized_height END,
    finalized_at = CASE WHEN n.finalized_at IS NULL OR (excluded.finalized_at, excluded.finalized_message) > (n.finalized_at, n.finalized_message) THEN excluded.finalized_at ELSE n.finalized_at END,
    finalized_message = CASE WHEN n.finalized_at IS NULL OR (excluded.finalized_at, excluded.finalized_message) > (n.finalized_at, n.finalized_message) THEN excluded.finalized_message ELSE n.finalized_message END,
    peers = CASE WHEN n.network_at IS NULL OR (excluded.network_at, excluded.network_message) > (n.network_at, n.network_message) THEN excluded.peers ELSE n.peers END,
    download_bytes_per_s = CASE WHEN n.network_at IS NULL OR (excluded.network_at, excluded.network_message) > (n.network_at, n.network_message) THEN excluded.download_bytes_per_s ELSE n.download_bytes_per_s END,
    upload_bytes_per_s = CASE WHEN n.network_at IS NULL OR (excluded.network_at, excluded.network_message) > (n.network_at, n.network_message) THEN excluded.upload_bytes_per_s ELSE n.upload_bytes_per_s END,
    network_at = CASE WHEN n.network_at IS NULL OR (excluded.network_at, excluded.network_message) > (n.network_at, n.network_message) THEN excluded.network_at ELSE n.network_at END,
    network_message = CASE WHEN n.network_at IS NULL OR (excluded.network_at, excluded.network_message) > (n.network_at, n.network_message) THEN excluded.network_message ELSE n.network_message END,
    transactions = CASE WHEN n.pool_at IS NULL OR (excluded.pool_at, excluded.pool_message) > (n.pool_at, n.pool_message) THEN excluded.transactions ELSE n.transactions END,
    state_cache_bytes = CASE WHEN n.pool_at IS NULL OR (excluded.pool_at, excluded.pool_message) > (n.pool_at, n.pool_message) THEN excluded.state_cache_bytes ELSE n.state_cache_bytes END,
    pool_at = CASE WHEN n.pool_at IS NULL OR (excluded.pool_at, excluded.pool_message) > (n.pool_at, n.pool_message) THEN excluded.pool_at ELSE n.pool_at END,
    pool_message = CASE WHEN n.pool_at IS NULL OR (excluded.pool_at, excluded.pool_message) > (n.pool_at, n.pool_message) THEN excluded.pool_message ELSE n.pool_message END,
    ready = CASE WHEN n.txpool_at IS NULL OR (excluded.txpool_at, excluded.txpool_message) > (n.txpool_at, n.txpool_message) THEN excluded.ready ELSE n.ready END,
    future = CASE WHEN n.txpool_at IS NULL OR (excluded.txpool_at, excluded.txpool_message) > (n.txpool_at, n.txpool_message) THEN excluded.future ELSE n.future END,
    txpool_at = CASE WHEN n.txpool_at IS NULL OR (excluded.txpool_at, excluded.txpool_message) > (n.txpool_at, n.txpool_message) THEN excluded.txpool_at ELSE n.txpool_at END,
    txpool_message = CASE WHEN n.txpool_at IS NULL OR (excluded.txpool_at, excluded.txpool_message) > (n.txpool_at, n.txpool_message) THEN excluded.txpool_message ELSE n.txpool_message END,
    lag_min = least(n.lag_min, excluded.lag_min),
    lag_sum = n.lag_sum + excluded.lag_sum,
    lag_count = n.lag_count + excluded.lag_count,
    lag_max = greatest(n.lag_max, excluded.lag_max),
    peers_min = least(n.peers_min, excluded.peers_min),
    peers_sum = n.peers_sum + excluded.peers_sum,
    peers_count = n.peers_count + excluded.peers_count,
    peers_max = greatest(n.peers_max, excluded.peers_max),
    download_min = least(n.download_min, excluded.download_min),
    download_sum = n.download_sum + excluded.download_sum,
    download_count = n.download_count + excluded.download_count,
    download_max = greatest(n.download_max, excluded.download_max),
    upload_min = least(n.upload_min, excluded.upload_min),
    upload_sum = n.upload_sum + excluded.upload_sum,
    upload_count = n.upload_count + excluded.upload_count,
    upload_max = greatest(n.upload_max, excluded.upload_max),
    transactions_min = least(n.transactions_min, excluded.transactions_min),
    transactions_sum = n.transactions_sum + excluded.transactions_sum,
    transactions_count = n.transactions_count + excluded.transactions_count,
    transactions_max = greatest(n.transactions_max, excluded.transactions_max)
