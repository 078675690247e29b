-- Does: reads the values of a node in buckets of whole hours, from its hours.
-- Params: $1 peer id, $2 genesis hash, empty where unknown, $3 start of the first
--   bucket, $4 seconds of a bucket, $5 buckets, $6 peer ids of other nodes of the chain.
-- Index: node_hours_pkey, from the end of each bucket back.
-- Cost: some rows for each bucket and node.
-- Order: by bucket.
SELECT b.place, best.best_height AS height,
       greatest(best.best_height, chain.best_height) AS chain_height,
       finalized.finalized_height, network.peers, pool.transactions, txpool.ready, txpool.future,
       network.download_bytes_per_s, network.upload_bytes_per_s, pool.state_cache_bytes
FROM (
    SELECT place, $3 + place * make_interval(secs => $4) AS since, $3 + (place + 1) * make_interval(secs => $4) AS until
    FROM generate_series(0, $5 - 1) AS place
) b
LEFT JOIN LATERAL (
    SELECT h.best_height FROM node_hours h
    WHERE h.peer_id = $1 AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.best_at IS NOT NULL
    ORDER BY h.hour DESC LIMIT 1
) best ON true
LEFT JOIN LATERAL (
    SELECT h.finalized_height FROM node_hours h
    WHERE h.peer_id = $1 AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.finalized_at IS NOT NULL
    ORDER BY h.hour DESC LIMIT 1
) finalized ON true
LEFT JOIN LATERAL (
    SELECT h.peers, h.download_bytes_per_s, h.upload_bytes_per_s FROM node_hours h
    WHERE h.peer_id = $1 AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.network_at IS NOT NULL
    ORDER BY h.hour DESC LIMIT 1
) network ON true
LEFT JOIN LATERAL (
    SELECT h.transactions, h.state_cache_bytes FROM node_hours h
    WHERE h.peer_id = $1 AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.pool_at IS NOT NULL
    ORDER BY h.hour DESC LIMIT 1
) pool ON true
LEFT JOIN LATERAL (
    SELECT h.ready, h.future FROM node_hours h
    WHERE h.peer_id = $1 AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.txpool_at IS NOT NULL
    ORDER BY h.hour DESC LIMIT 1
) txpool ON true
LEFT JOIN LATERAL (
    SELECT max(last.best_height) AS best_height
    FROM unnest($6::text[]) AS other (peer_id)
    CROSS JOIN LATERAL (
        SELECT h.best_height FROM node_hours h
        WHERE h.peer_id = other.peer_id AND h.genesis_hash = $2 AND h.hour >= b.since AND h.hour < b.until AND h.best_at IS NOT NULL
        ORDER BY h.hour DESC LIMIT 1
    ) last
) chain ON true
ORDER BY b.place
