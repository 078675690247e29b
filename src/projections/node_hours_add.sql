-- Does: adds what was reported to the hours of nodes.
-- Params: $1 JSON array of objects with the columns of node_hours.
-- Index: node_hours_pkey.
-- Cost: one row for each hour of a node.
-- Order: by key, so that two transactions never wait for each other in a circle.
INSERT INTO node_hours AS n (peer_id, genesis_hash, hour, messages, intervals, best_height, best_at, best_message, finalized_height, finalized_at, finalized_message, peers, download_bytes_per_s, upload_bytes_per_s, network_at, network_message, transactions, state_cache_bytes, pool_at, pool_message, ready, future, txpool_at, txpool_message, lag_min, lag_sum, lag_count, lag_max, peers_min, peers_sum, peers_count, peers_max, download_min, download_sum, download_count, download_max, upload_min, upload_sum, upload_count, upload_max, transactions_min, transactions_sum, transactions_count, transactions_max)
SELECT peer_id, genesis_hash, hour, messages, intervals, best_height, best_at, best_message, finalized_height, finalized_at, finalized_message, peers, download_bytes_per_s, upload_bytes_per_s, network_at, network_message, transactions, state_cache_bytes, pool_at, pool_message, ready, future, txpool_at, txpool_message, lag_min, lag_sum, lag_count, lag_max, peers_min, peers_sum, peers_count, peers_max, download_min, download_sum, download_count, download_max, upload_min, upload_sum, upload_count, upload_max, transactions_min, transactions_sum, transactions_count, transactions_max
FROM json_populate_recordset(NULL::node_hours, $1::json)
ORDER BY peer_id, genesis_hash, hour
ON CONFLICT (peer_id, genesis_hash, hour) DO UPDATE SET
    messages = n.messages + excluded.messages,
    intervals = n.intervals + excluded.intervals,
    (best_height, best_at, best_message) = (
        SELECT l.* FROM (VALUES (n.best_height, n.best_at, n.best_message), (excluded.best_height, excluded.best_at, excluded.best_message)) AS l (c0, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (finalized_height, finalized_at, finalized_message) = (
        SELECT l.* FROM (VALUES (n.finalized_height, n.finalized_at, n.finalized_message), (excluded.finalized_height, excluded.finalized_at, excluded.finalized_message)) AS l (c0, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (peers, download_bytes_per_s, upload_bytes_per_s, network_at, network_message) = (
        SELECT l.* FROM (VALUES (n.peers, n.download_bytes_per_s, n.upload_bytes_per_s, n.network_at, n.network_message), (excluded.peers, excluded.download_bytes_per_s, excluded.upload_bytes_per_s, excluded.network_at, excluded.network_message)) AS l (c0, c1, c2, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (transactions, state_cache_bytes, pool_at, pool_message) = (
        SELECT l.* FROM (VALUES (n.transactions, n.state_cache_bytes, n.pool_at, n.pool_message), (excluded.transactions, excluded.state_cache_bytes, excluded.pool_at, excluded.pool_message)) AS l (c0, c1, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (ready, future, txpool_at, txpool_message) = (
        SELECT l.* FROM (VALUES (n.ready, n.future, n.txpool_at, n.txpool_message), (excluded.ready, excluded.future, excluded.txpool_at, excluded.txpool_message)) AS l (c0, c1, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
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
