-- Does: finds nodes, each peer id by its latest session, with what they reported last, their status, and how far they
--   are behind their chain: the block that a fair part of its nodes has (the one after a quarter of them, and not the
--   topmost of several).
-- Params: $1 name or genesis hash of the chain or NULL, $2 name or NULL, $3 online or NULL, $4 peer id or NULL, $5 states or NULL,
--   $6 whether they need attention, or NULL, $7 authority or NULL, $8 version or NULL, $9 implementation or NULL,
--   $10 start and $11 number of the session after which the page begins, or NULL, $12 key after which it begins, or NULL,
--   $13 rows, $14 hours of the uptime or NULL, $15 time since when they were seen or NULL, $16 part of the name, of the peer id or of an authority id or NULL,
--   $17 addresses or NULL.
-- Index: nodes_recent_idx, peer_connections_pkey, node_status_pkey and node_identities_pkey; with a filter that of its column.
-- Cost: the nodes that are online, for their chains, and one row of each table for each node up to the end of the page.
-- Order: as asked for; a key of the order and the number of the session are unique.
WITH chains AS MATERIALIZED (
    SELECT genesis_hash, key, chain_height(best) AS best
    FROM (
        SELECT o.genesis_hash, CASE WHEN o.genesis_hash = '' THEN coalesce(o.chain, '') ELSE '' END AS key,
               array_agg(o.best_height ORDER BY o.best_height DESC) AS best
        FROM nodes o
        WHERE o.online AND o.best_height BETWEEN 0 AND 4294967295
        GROUP BY 1, 2
    ) heights
), found AS (
    SELECT n.genesis_hash AS of_chain, n.session_at, n.last_seen_at AS seen_at, n.best_height, n.best_hash, n.best_at,
           n.finalized_height, n.finalized_hash, n.finalized_at,
           n.peers, n.download_bytes_per_s, n.upload_bytes_per_s, n.transactions, n.state_cache_bytes,
           NULL::bigint AS clock_ahead_ms,
       st.state, st.reason AS state_reason, st.since AS state_since, st.attention,
           CASE WHEN n.online THEN greatest(c.best - n.best_height, 0) END AS behind, n.best_height - n.finalized_height AS finality_lag,
           p.*
    FROM /* nodes */ nodes n
    JOIN peer_connections p ON p.id = n.session_id
    LEFT JOIN node_status s ON s.peer_id = n.peer_id AND s.genesis_hash = n.genesis_hash
    LEFT JOIN chains c ON c.genesis_hash = n.genesis_hash AND c.key = CASE WHEN n.genesis_hash = '' THEN coalesce(n.chain, '') ELSE '' END
    CROSS JOIN LATERAL (
        SELECT k.state, s.reason, coalesce(s.since, CASE WHEN n.online THEN n.since ELSE n.last_seen_at END) AS since,
               k.state NOT IN ('online', 'syncing', 'down') AND (k.state <> 'offline' OR n.last_seen_at > now() - interval '1 day') AS attention
        FROM (SELECT coalesce(s.state, CASE WHEN n.online THEN 'online' ELSE 'offline' END) AS state) k
    ) st
    -- Old nodes have an empty genesis hash.
    WHERE ($1::text IS NULL OR n.chain = $1 OR n.genesis_hash = nullif($1, ''))
      AND ($2::text IS NULL OR n.name = $2)
      AND ($3::boolean IS NULL OR n.online = $3)
      AND ($3::boolean IS NULL OR (p.disconnected_at IS NULL) = $3)
      AND ($4::text IS NULL OR n.peer_id = $4)
      AND ($5::text[] IS NULL OR st.state = ANY($5))
      AND ($6::boolean IS NULL OR st.attention = $6)
      AND ($7::boolean IS NULL OR p.authority = $7)
      AND ($8::text IS NULL OR p.version = $8)
      AND ($9::text IS NULL OR p.implementation = $9)
      AND ($17::text[] IS NULL OR p.ip_addr = ANY($17))
      AND ($10::timestamptz IS NULL OR (n.session_at, n.session_id) < ($10, $11))
      AND ($15::timestamptz IS NULL OR n.online OR n.last_seen_at >= $15 OR st.state <> 'offline')
      AND ($16::text IS NULL OR strpos(lower(n.name), lower($16)) > 0 OR strpos(lower(n.peer_id), lower($16)) > 0
           OR (n.peer_id, n.genesis_hash) IN (
               SELECT i.peer_id, i.genesis_hash FROM node_identities i WHERE strpos(lower(i.authority_id), lower($16)) > 0
               -- The same key as an address of another chain, or in hexadecimal.
               UNION ALL SELECT i.peer_id, i.genesis_hash FROM node_identities i WHERE authority_key(i.authority_id) = authority_key($16)))
      -- One peer id on several chains is shown as it was last.
      AND NOT EXISTS (
          SELECT FROM nodes other
          WHERE other.peer_id = n.peer_id AND (other.session_at, other.session_id) > (n.session_at, n.session_id)
      )
), page AS (
    SELECT * FROM (SELECT f.*, (/* key */ ''::text) COLLATE "C" AS sort_key FROM found f) keyed
    WHERE $12::text IS NULL OR (sort_key, id) > /* after */ ($12 COLLATE "C", $11)
    ORDER BY /* order */ session_at DESC, id DESC
    LIMIT $13
)
SELECT page.*, page.disconnected_at IS NULL AS online, identity.authority_id, identity.is_in_set AS is_in_authority_set,
       CASE WHEN $14::bigint IS NOT NULL THEN (
           SELECT u.uptime FROM node_uptime(page.peer_id, page.of_chain, now() - make_interval(hours => $14::int), now()) u) END AS uptime
FROM page
LEFT JOIN LATERAL (
    SELECT i.authority_id, i.is_in_set FROM node_identities i
    WHERE i.peer_id = page.peer_id AND i.genesis_hash = page.of_chain AND i.session_id = 0
    ORDER BY i.last_at DESC, i.authority_id LIMIT 1
) identity ON true
ORDER BY /* order */ session_at DESC, id DESC
