-- Does: keeps values of sessions whose node is not known yet.
-- Params: $1 JSON array of objects with the columns of session_values.
-- Index: session_values_pkey.
-- Cost: one row for each session.
-- Order: none; one server writes at a time.
INSERT INTO session_values AS n
SELECT * FROM json_populate_recordset(NULL::session_values, $1::json)
ON CONFLICT (session_id) DO UPDATE SET
    seen_at = greatest(n.seen_at, excluded.seen_at),
    (best_height, best_hash, best_at) = (
        SELECT b.* FROM (VALUES (n.best_height, n.best_hash, n.best_at), (excluded.best_height, excluded.best_hash, excluded.best_at)) AS b (height, hash, at)
        ORDER BY b.height DESC NULLS LAST, b.at LIMIT 1),
    (finalized_height, finalized_hash, finalized_at) = (
        SELECT b.* FROM (VALUES (n.finalized_height, n.finalized_hash, n.finalized_at), (excluded.finalized_height, excluded.finalized_hash, excluded.finalized_at)) AS b (height, hash, at)
        ORDER BY b.height DESC NULLS LAST, b.at LIMIT 1),
    (peers, download_bytes_per_s, upload_bytes_per_s, network_at, network_message) = (
        SELECT l.* FROM (VALUES (n.peers, n.download_bytes_per_s, n.upload_bytes_per_s, n.network_at, n.network_message), (excluded.peers, excluded.download_bytes_per_s, excluded.upload_bytes_per_s, excluded.network_at, excluded.network_message)) AS l (peers, download, upload, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1),
    (transactions, state_cache_bytes, pool_at, pool_message) = (
        SELECT l.* FROM (VALUES (n.transactions, n.state_cache_bytes, n.pool_at, n.pool_message), (excluded.transactions, excluded.state_cache_bytes, excluded.pool_at, excluded.pool_message)) AS l (transactions, cache, at, message)
        ORDER BY l.at DESC NULLS LAST, l.message DESC LIMIT 1)
