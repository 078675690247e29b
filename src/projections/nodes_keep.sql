-- Does: takes over what nodes reported in messages that are left out of a build, or purged; later ones
--   are put together with it.
-- Params: $1 arrival before which values are kept; all where it is NULL.
-- Index: nodes_pkey of both.
-- Cost: the nodes of the range.
-- Order: none.
-- In braces: the tables, and a range of keys.
UPDATE {beside} AS n SET
    best_height = CASE WHEN best.kept THEN o.best_height END,
    best_hash = CASE WHEN best.kept THEN o.best_hash END,
    best_at = CASE WHEN best.kept THEN o.best_at END,
    best_session_at = CASE WHEN best.kept THEN o.best_session_at END,
    finalized_height = CASE WHEN finalized.kept THEN o.finalized_height END,
    finalized_hash = CASE WHEN finalized.kept THEN o.finalized_hash END,
    finalized_at = CASE WHEN finalized.kept THEN o.finalized_at END,
    finalized_session_at = CASE WHEN finalized.kept THEN o.finalized_session_at END,
    peers = CASE WHEN network.kept THEN o.peers END,
    download_bytes_per_s = CASE WHEN network.kept THEN o.download_bytes_per_s END,
    upload_bytes_per_s = CASE WHEN network.kept THEN o.upload_bytes_per_s END,
    network_at = CASE WHEN network.kept THEN o.network_at END,
    network_message = CASE WHEN network.kept THEN o.network_message END,
    transactions = CASE WHEN pool.kept THEN o.transactions END,
    state_cache_bytes = CASE WHEN pool.kept THEN o.state_cache_bytes END,
    pool_at = CASE WHEN pool.kept THEN o.pool_at END,
    pool_message = CASE WHEN pool.kept THEN o.pool_message END
FROM (SELECT * FROM {table} WHERE {range}) AS o
CROSS JOIN LATERAL (SELECT $1::timestamptz IS NULL OR o.best_at < $1 AS kept) AS best
CROSS JOIN LATERAL (SELECT $1::timestamptz IS NULL OR o.finalized_at < $1 AS kept) AS finalized
CROSS JOIN LATERAL (SELECT $1::timestamptz IS NULL OR o.network_at < $1 AS kept) AS network
CROSS JOIN LATERAL (SELECT $1::timestamptz IS NULL OR o.pool_at < $1 AS kept) AS pool
WHERE n.peer_id = o.peer_id AND n.genesis_hash = o.genesis_hash
